"""Intersections of rays with a mesh, computed by embree."""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.mesh import Mesh


class Rays:
    """A mesh that rays can be traced against; raises ImportError if embreex is missing."""

    def __init__(self, mesh: Mesh) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise ImportError(f"rays and pictures need embreex ({error}); run `pip install embreex`.") from error
        self._scene = EmbreeScene() if len(mesh.faces) else None
        if self._scene is not None:
            TriangleMesh(self._scene, mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32))

    def first_hits(self, origins: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.int64]:
        """Find the first face that each ray hits.

        Args:
            origins: (N, 3) points at which the rays start.
            direction: (3,) direction of all rays.

        Returns:
            (N,) index of the face; -1 for a ray that hits none.
        """
        if self._scene is None or len(origins) == 0:
            return np.full(len(origins), -1, dtype=np.int64)
        directions = np.broadcast_to(direction, origins.shape).astype(np.float32)
        return np.asarray(self._scene.run(origins.astype(np.float32), directions), dtype=np.int64)
