"""The verbs that make shapes: reconstruct, generate and vary."""
