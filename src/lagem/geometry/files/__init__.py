"""Mesh and point files: a strict reader for each format, and the mesh or point cloud that a file holds.

The readers read only positions and faces. Content that does not affect the surface (normals, colours, texture
coordinates, materials, points, lines) is skipped. Content that affects the surface, but is not supported, is refused
with a message that names it.
"""
