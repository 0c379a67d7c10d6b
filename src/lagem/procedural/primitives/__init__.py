"""Closed bodies with exact containment, bounds, and uniform points on their boundary."""
