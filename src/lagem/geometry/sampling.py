"""Random points on the surface of a mesh."""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import MeshError
from lagem.geometry.mesh import Mesh


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw points that are uniformly distributed over the area of a mesh's surface.

    Args:
        mesh: The mesh, in any frame.
        count: Number of points.
        rng: Source of all random numbers.

    Returns:
        The points (count, 3) float64, and the unit normals (count, 3) float64 of the faces on which they lie.

    Raises:
        MeshError: If the area of the mesh is zero.
    """
    normals, areas = mesh.normals_and_areas()
    cumulative = np.cumsum(areas, dtype=np.float64)
    if len(areas) == 0 or not cumulative[-1] > 0:
        raise MeshError(f"a mesh of {len(areas)} faces has no area, so its surface cannot be sampled; check the mesh.")
    # side="right" never chooses a face without area; a number that rounds up to the total area gets the last face that
    # has an area
    last = np.flatnonzero(areas)[-1]
    chosen = np.minimum(np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right"), last)
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces[chosen]], 1, 0)
    return (1 - root) * a + root * (1 - along) * b + root * along * c, normals[chosen]
