"""The verbs for networks and their weights: describe, import-weights and bundle."""
