"""Occupancy of a mesh, decided by the generalised winding number (Barill et al. 2018, in libigl).

Unlike parity and normals, the winding number also works for overlapping parts and open shells. Its absolute value is
used, so a mesh that is inside out, or has some inside-out parts, still counts as solid.
"""

import copy

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.voxels import Grid

# N points

CHUNK = 1 << 18  # number of points queried at a time
PLACES = Grid(cells=64, reach=2.0)  # points are queried cell by cell, since neighbours need the same part of the tree
# In unit-sphere units; longer edges are split. Large faces make large clusters, from which few points are far away.
LONGEST_EDGE = 0.1
# A cluster that is farther away than this, in cluster radii, is approximated by an expansion. The winding number then
# errs by less than 0.1, which is harmless, since points are inside from 0.5 on.
FAR = 1.5


class WindingNumber:
    """Occupancy of one mesh. Its hierarchy (a tree of clusters of faces) is built once, for any number of queries.

    An open mesh is treated as if its holes were capped.

    Args:
        mesh: The mesh, in any frame. It is mapped into the unit sphere first, since libigl computes in float32.

    Raises:
        ValueError: If the mesh has no extent.
    """

    def __init__(self, mesh: Mesh) -> None:
        import igl
        import trimesh

        self._frame = Frame.of(mesh.vertices)
        vertices, faces = trimesh.remesh.subdivide_to_size(
            self._frame.to_unit(mesh.vertices), mesh.faces, LONGEST_EDGE, max_iter=40
        )
        self._hierarchy = igl.FastWindingNumberBVH()
        self._hierarchy.init(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, dtype=np.int64), 2)

    def within(self, frame: Frame) -> "WindingNumber":
        """Return the occupancy of the same mesh, for points that are given in the unit sphere of `frame`.

        `frame` maps the mesh's coordinates to this unit sphere. The returned object uses this object's
        hierarchy, so no tree is built again.
        """
        seen = copy.copy(self)
        seen._frame = Frame(center=frame.to_unit(self._frame.center[None])[0], scale=self._frame.scale / frame.scale)
        return seen

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Decide whether points are inside the mesh, that is, whether |winding number| > 0.5.

        Args:
            points: (N, 3) float, in the mesh's frame.

        Returns:
            (N,) bool, True inside.
        """
        return np.abs(self.values(points)) > 0.5

    def values(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the (N,) winding numbers of (N, 3) points.

        A winding number says how often the surface encloses a point; it is negative if the surface faces inward.
        """
        found = np.empty(len(points), dtype=np.float64)
        for start in range(0, len(points), CHUNK):
            part = self._frame.to_unit(points[start : start + CHUNK])
            order = np.ravel_multi_index(tuple(PLACES.cell_of(part).T), (PLACES.cells,) * 3).argsort()
            found[start : start + CHUNK][order] = self._hierarchy.winding_number(part[order], FAR)
        return found
