"""Configurations that people write in YAML, checked before they are parsed."""
