"""Exact distances from points to a mesh (by libigl's AABB tree), and tests of visibility from outside."""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.mesh import Mesh
from lagem.geometry.rays import Rays

# N points, F faces

DIRECTIONS = 32  # number of rays from each point; a point is exposed if one of its rays meets nothing
# (4, 3) barycentric coordinates of the points at which a face is tested: its middle, and near each corner
TESTED = np.vstack([np.full(3, 1 / 3), 0.85 * np.eye(3) + 0.05])
LIFT = 1e-4  # distance between the surface and the start of a ray, in unit-sphere units


class DistanceTo:
    """Computes distances to one mesh. Its search tree is built once, for any number of queries."""

    def __init__(self, mesh: Mesh) -> None:
        import igl

        self._mesh = mesh
        self._tree = igl.AABB()
        self._tree.init(mesh.vertices, mesh.faces)

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (N,) distances of (N, 3) points from the mesh."""
        return self.nearest(points)[0]

    def nearest(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Find the point of the mesh that is nearest to each of (N, 3) points.

        Returns:
            The distances (N,), the faces (N,) on which the nearest points lie, and their positions (N, 3).
        """
        squared, face, position = self._tree.squared_distance(self._mesh.vertices, self._mesh.faces, points)
        return np.sqrt(squared), face, position


def exposed(
    mesh: Mesh, points: NDArray[np.float64], normals: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Decide which points on a surface can be seen from outside.

    A point counts as visible if at least one of 32 rays in random directions from it hits no face.

    Args:
        mesh: The mesh, in the unit sphere.
        points: (N, 3) points on its surface.
        normals: (N, 3) normals of the faces on which they lie. Each ray starts just off the face (by LIFT), on
            the side that the ray goes to.
        rng: Draws the directions of the rays, which are the same for all points.

    Returns:
        (N,) bool, True for visible points.
    """
    directions = rng.standard_normal((DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rays = Rays(mesh)
    found = np.zeros(len(points), dtype=np.bool_)
    for direction in directions:
        hidden = np.flatnonzero(~found)
        side = np.where(normals[hidden] @ direction < 0, -LIFT, LIFT)[:, None]
        found[hidden] = rays.first_hits(points[hidden] + side * normals[hidden], direction) < 0
    return found


def outer_faces(mesh: Mesh, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Decide which faces can be seen from outside.

    Four points of each face are tested. The face counts as visible if at least one of them is visible.

    Args:
        mesh: The mesh, in the unit sphere.
        rng: Draws the directions of the rays.

    Returns:
        (F,) bool, True for visible faces, and for faces without area, which cannot be tested.
    """
    normals, areas = mesh.normals_and_areas()
    outer = areas <= 0
    tested = np.flatnonzero(~outer)
    points = np.einsum("tc,fcx->ftx", TESTED, mesh.vertices[mesh.faces[tested]]).reshape(-1, 3)
    seen = exposed(mesh, points, np.repeat(normals[tested], len(TESTED), axis=0), rng)
    outer[tested] = seen.reshape(-1, len(TESTED)).any(axis=1)
    return outer
