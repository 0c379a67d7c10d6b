"""Meshes, occupancy, surfaces from fields, metrics and pictures. This package knows nothing of models.

It re-exports nothing, so that child processes that only read meshes do not load torch.
"""
