"""The verbs that make shapes: reconstruct, complete, generate and vary."""
