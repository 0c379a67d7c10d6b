"""Measure how good generated shapes are: as a set compared with a set of real shapes, and each shape by itself."""
