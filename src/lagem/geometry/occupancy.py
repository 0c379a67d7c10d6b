"""Inside or outside by the generalised winding number (Barill et al. 2018, in libigl).

Parity and normals fail on overlapping parts and open shells; the winding number does not. Its absolute value is
taken, so a mesh that is inside out, or has some inside-out parts, still counts as solid.
"""

import copy

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.voxels import Grid

# N points

CHUNK = 1 << 18
PLACES = Grid(cells=64, reach=2.0)  # points are queried cell by cell: neighbours need the same part of the hierarchy
LONGEST_EDGE = 0.1  # of faces in the hierarchy (unit sphere): a larger one would make its whole cluster near
FAR = 1.5  # cluster radii beyond which a cluster's expansion is used; errors are below 0.1, and the threshold is 0.5


class WindingNumber:
    """Occupancy of one mesh; the hierarchy is built once, for any number of queries.

    Args:
        mesh: In any frame; libigl computes in float32, so the mesh is first mapped into the unit sphere. Raises
            ValueError if the mesh has no extent. By convention, an open mesh is treated as if its holes were capped.
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
        """The same occupancy for points in the unit sphere of `frame`, a frame of the mesh; shares the hierarchy."""
        seen = copy.copy(self)
        seen._frame = Frame(center=frame.to_unit(self._frame.center[None])[0], scale=self._frame.scale / frame.scale)
        return seen

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether points are inside: |winding number| > 0.5.

        Args:
            points: (N, 3) float, in the mesh's frame.

        Returns:
            (N,) bool, True inside.
        """
        return np.abs(self.values(points)) > 0.5

    def values(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) winding numbers of (N, 3) points: how often the surface encloses them, negative if it faces inward."""
        found = np.empty(len(points), dtype=np.float64)
        for start in range(0, len(points), CHUNK):
            part = self._frame.to_unit(points[start : start + CHUNK])
            order = np.ravel_multi_index(tuple(PLACES.cell_of(part).T), (PLACES.cells,) * 3).argsort()
            found[start : start + CHUNK][order] = self._hierarchy.winding_number(part[order], FAR)
        return found
