"""Closed polyhedra with known area and volume.

Faces are polygons, and the caps of the C prism have reflex corners, so tests notice a reader that cuts polygons into
wrong triangles.
"""

from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray


@dataclass(frozen=True)
class Solid:
    """A closed polyhedron; `polygons` are counter-clockwise seen from outside."""

    vertices: NDArray[np.float64]
    polygons: list[list[int]]
    area: float
    volume: float

    @property
    def triangles(self) -> list[list[int]]:
        """The triangles of all polygons.

        The triangles of the caps of the C prism are listed by hand. Every other polygon is cut into a fan.
        """
        if len(self.polygons[0]) == 8:
            cuts = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 7], [4, 5, 6], [4, 6, 7]]
            caps = [[8 + corner for corner in cut] for cut in cuts] + [cut[::-1] for cut in cuts]
            return caps + [t for p in self.polygons[2:] for t in ([p[0], p[1], p[2]], [p[0], p[2], p[3]])]
        return [[p[0], p[k], p[k + 1]] for p in self.polygons for k in range(1, len(p) - 1)]


def box() -> Solid:
    """Return a box of 1 x 2 x 3 with a corner at the origin, made of six quads."""
    vertices = np.array([[x, y, z] for z in (0, 3) for y in (0, 2) for x in (0, 1)], dtype=np.float64)
    quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return Solid(vertices, quads, area=22, volume=6)


def c_prism() -> Solid:
    """Return a prism whose base is a C of 3 x 3 with a notch of 2 x 1, and whose height is 1.

    Its polygons are two caps and eight quads. Each cap has eight corners; two of these corners are reflex.
    """
    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (3, 2), (3, 3), (0, 3)]
    order = [3, 4, 5, 6, 7, 0, 1, 2]  # the caps begin at a reflex corner, where a fan would leave the outline
    vertices = np.array([(x, y, z) for z in (0, 1) for x, y in outline], dtype=np.float64)
    bottom, top = [order[-k - 1] for k in range(8)], [8 + corner for corner in order]
    sides = [[k, (k + 1) % 8, 8 + (k + 1) % 8, 8 + k] for k in range(8)]
    return Solid(vertices, [bottom, top, *sides], area=30, volume=7)


def ball() -> Solid:
    """Return a polyhedron of 320 triangles that approximates a sphere; area and volume are those of the polyhedron."""
    made = trimesh.creation.icosphere(subdivisions=2)
    vertices = np.asarray(made.vertices, dtype=np.float32).astype(np.float64)  # exact in every format
    a, b, c = (vertices[made.faces[:, corner]] for corner in range(3))
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    return Solid(vertices, made.faces.tolist(), area=area, volume=float((a * np.cross(b, c)).sum() / 6))
