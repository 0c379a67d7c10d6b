"""Checks of the YAML configurations that people write, made before a parser reads them."""
