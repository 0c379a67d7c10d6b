"""Verbs about networks and their weights: describe, import-weights, bundle."""
