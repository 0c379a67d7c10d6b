"""The verbs for networks and their weights: describe, import-weights, bundle and export."""
