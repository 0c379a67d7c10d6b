"""Verbs that measure: evaluate, evaluate-generation, compare, levels."""
