"""How good generated shapes are, as a set compared with real shapes, and one by one."""
