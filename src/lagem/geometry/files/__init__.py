"""Mesh and point files: what they promise, checked before a parser believes it, and what a parser makes of them."""
