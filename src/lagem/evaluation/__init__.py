"""Measure how good results are: means, tables and cards (reports). Subpackages score reconstructions and samples."""
