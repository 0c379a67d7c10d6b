"""Inside or outside by the generalised winding number (Barill et al. 2018, in libigl).

Parity and normals fail on overlapping parts and open shells; the winding number does not. Its absolute value is
taken, so a mesh that is inside out, or has some inside-out parts, still counts as solid.
"""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh

# N points

CHUNK = 1 << 18


class WindingNumber:
    """Occupancy of one mesh; the hierarchy is built once and asked many times.

    Args:
        mesh: In any frame; libigl computes in float32, so the unit sphere is used inside. ValueError where the mesh
            has no extent. On an open mesh the answer is a convention: it is as if its holes were capped.
    """

    def __init__(self, mesh: Mesh) -> None:
        import igl

        self._frame = Frame.of(mesh.vertices)
        self._hierarchy = igl.FastWindingNumberBVH()
        self._hierarchy.init(self._frame.to_unit(mesh.vertices), mesh.faces, 2)

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where |winding number| > 0.5.

        Args:
            points: (N, 3) float, in the mesh's frame.

        Returns:
            (N,) bool, True inside.
        """
        inside = np.empty(len(points), dtype=np.bool_)
        for start in range(0, len(points), CHUNK):
            part = self._frame.to_unit(points[start : start + CHUNK])
            inside[start : start + CHUNK] = np.abs(self._hierarchy.winding_number(part, 2.0)) > 0.5
        return inside
