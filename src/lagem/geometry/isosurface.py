"""Marching cubes, by PyMCubes."""

import numpy as np
from numpy.typing import NDArray


def marching_cubes(volume: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Triangles where the volume crosses 0, facing to where it is negative.

    Args:
        volume: (X, Y, Z) float64, > 0 inside.

    Returns:
        vertices (K, 3) float64 in units of nodes, each on an edge between two neighbouring nodes, and faces (F, 3)
        int64. Closed where the volume's border is outside.
    """
    import mcubes

    if not hasattr(mcubes, "marching_cubes"):
        raise ImportError(
            "the installed `mcubes` is another package of that name; run `pip uninstall mcubes` and then "
            "`pip install --force-reinstall PyMCubes`."
        )
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    return vertices, faces.astype(np.int64)
