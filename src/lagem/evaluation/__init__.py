"""Measure how good results are: means, tables and cards. The subpackages score reconstructions and generated sets."""
