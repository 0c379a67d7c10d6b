"""Checks of what users configure: of YAML files before a parser reads them, and of numbers that have bounds."""
