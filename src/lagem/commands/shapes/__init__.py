"""Verbs that make shapes: reconstruct, generate, vary."""
