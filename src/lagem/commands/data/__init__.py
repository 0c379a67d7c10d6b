"""The verbs that make and inspect data: prepare, inspect, select-ids and encode."""
