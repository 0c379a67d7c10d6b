"""Meshes, occupancy, surfaces from fields, metrics and pictures; knows nothing of models.

It re-exports nothing, so that a child process that reads meshes does not load torch.
"""
