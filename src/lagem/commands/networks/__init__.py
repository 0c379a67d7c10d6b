"""The verbs for networks and their weights: describe, doctor, import-weights and bundle."""
