"""Meshes, occupancy, surfaces from fields, metrics and pictures. This package does not use the networks.

Its `__init__.py` imports nothing, so that child processes that only read meshes do not load torch.
"""
