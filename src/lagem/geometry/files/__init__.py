"""Mesh and point files: a strict reader for each format, and the mesh or cloud that a file holds.

A reader takes positions and faces and nothing else. What has no bearing on the surface (normals, colours, texture
coordinates, materials, points, lines) is skipped; whatever has, and is unknown to a reader, is refused by name.
"""
