"""Mesh and point files: a strict reader for each format, and the mesh or cloud that a file holds.

A reader reads only positions and faces. Content that does not affect the surface (normals, colours, texture
coordinates, materials, points, lines) is skipped; content that does, but is not supported, is refused by name.
"""
