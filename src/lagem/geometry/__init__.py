"""Meshes, occupancy, metrics, pictures, and the extraction of surfaces from fields. This package uses no networks.

Its `__init__.py` imports nothing, so that child processes that only read meshes do not load torch.
"""
