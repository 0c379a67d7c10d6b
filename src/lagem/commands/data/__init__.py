"""Verbs that make data: prepare, inspect, select-ids, encode."""
