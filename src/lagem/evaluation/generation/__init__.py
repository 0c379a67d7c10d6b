"""How good generated shapes are: as a set beside real ones, and one by one."""
