"""The verbs that measure: evaluate, evaluate-generation, compare and levels."""
