"""Measure how good results are: mean scores, tables and cards (reports).

Subpackages score reconstructions and samples.
"""
