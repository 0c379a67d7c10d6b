"""Verbs that make and inspect data: prepare, inspect, select-ids, encode."""
