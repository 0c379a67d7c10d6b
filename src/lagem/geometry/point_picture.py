"""Pictures of point clouds: a small octahedron a point, drawn as a mesh is."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.mesh import Mesh
from lagem.geometry.picture import Picture, render_mesh

CORNERS = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)
FACES = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [1, 0, 5], [2, 1, 5], [3, 2, 5], [0, 3, 5]])


def render_points(
    points: NDArray[np.floating],
    *,
    size: int = 320,
    radius: float = 0.014,
    up: Literal["y", "z"] = "z",
    limit: int = 20_000,
) -> Picture:
    """Picture of a cloud in the unit-sphere frame.

    Args:
        points: (N, 3); evenly spaced rows are taken where there are more than `limit`.
        size: Side of the picture in pixels.
        radius: Of a point, in unit-sphere units.
        up: The frame's axis that points up in the picture.
        limit: Most points drawn.

    Returns:
        (size, size, 3) uint8.
    """
    points = np.asarray(points, dtype=np.float64)[:: max(1, -(-len(points) // limit))]
    vertices = (points[:, None] + radius * CORNERS).reshape(-1, 3)
    faces = (len(CORNERS) * np.arange(len(points))[:, None, None] + FACES).reshape(-1, 3)
    return render_mesh(Mesh(vertices=vertices, faces=faces), size=size, up=up)
