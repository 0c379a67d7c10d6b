"""Marching cubes, in two ways: for all cells of a dense volume, or for only the cells that the surface crosses.

PyMCubes does the first. The second uses PyMCubes' table of triangles, its order of vertices and faces, and its
arithmetic, so both give identical bytes.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.key_index import KeyIndex, Keys

# K crossed cells, V vertices, F faces

# the 12 edges of a cell
AXIS = np.repeat([0, 1, 2], 4)  # (12,) axis along which each edge runs
AT = np.tile(np.indices((2, 2)).reshape(2, 4).T, (3, 1))  # (12, 2) position of each edge on the two other axes
ALONG = np.eye(3, dtype=np.int64)[AXIS]  # (12, 3) step from the lower to the upper end of each edge
LOW = np.stack([np.insert(at, axis, 0) for axis, at in zip(AXIS, AT, strict=True)])  # (12, 3) lower end of each edge


def marching_cubes(volume: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Make triangles on the surface on which a volume crosses 0; they face the negative side.

    Args:
        volume: (X, Y, Z) float64, positive inside.

    Returns:
        The vertices (V, 3) float64 and the faces (F, 3) int64. Coordinates are indices of nodes, and each vertex lies
        on an edge between two neighbouring nodes. The surface is closed if the whole border of the volume is outside.
    """
    import mcubes

    if not hasattr(mcubes, "marching_cubes"):
        raise ImportError(
            "the installed `mcubes` is another package of that name; run `pip uninstall mcubes` and then "
            "`pip install --force-reinstall PyMCubes`."
        )
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    return vertices, faces.astype(np.int64)


def marching_cubes_of_cells(
    keys: Keys, corners: NDArray[np.float64], side: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the vertices and faces that `marching_cubes` makes, from only those cells that the surface crosses.

    Args:
        keys: (K,) keys of all crossed cells, sorted. The key of a cell is the index of its lowest node in the flattened
            volume. No node on the volume's border may be inside.
        corners: (K, 8) values at the corners of the cells. Corner (x, y, z) of a cell has index 4x + 2y + z.
        side: Number of nodes per side of the volume.

    Returns:
        The vertices (V, 3) and the faces (F, 3).
    """
    inside = corners > 0
    pattern = inside @ (1 << np.arange(8))
    stride = np.array([side * side, side, 1])
    low = np.stack(np.unravel_index(keys, (side,) * 3), axis=1)

    # A vertex is made by the first cell that has the vertex's edge. In this cell, the edge is the last one along its
    # axis, at (1, 1) on the two other axes. A cell makes its vertices on the edges along x, y and z, in this order.
    far = LAST_EDGES
    ends = LOW[far] @ [4, 2, 1], (LOW + ALONG)[far] @ [4, 2, 1]
    made = inside[:, ends[0]] != inside[:, ends[1]]
    number = np.cumsum(made).reshape(made.shape) - 1
    cell, slot = np.nonzero(made)
    below, above = corners[cell, ends[0][slot]], corners[cell, ends[1][slot]]
    vertices = (low[cell] + LOW[far][slot]).astype(np.float64)
    on_x = slot == 0  # on edges along x, PyMCubes interpolates from the upper to the lower end
    start, along = np.where(on_x, above, below), np.where(on_x, -1.0, 1.0)
    other = np.where(on_x, below, above)
    rows = np.arange(len(cell))
    vertices[rows, slot] = along * (0 - start) / (other - start) + (vertices[rows, slot] + on_x)

    owners = KeyIndex()
    owners.add(keys)
    triangles, counts = _triangles()
    of_face = np.repeat(np.arange(len(keys)), counts[pattern])
    turn = np.arange(len(of_face)) - np.repeat(np.cumsum(counts[pattern]) - counts[pattern], counts[pattern])
    edges = triangles[pattern[of_face], turn]
    owner = np.empty((len(keys), 4), dtype=np.int64)
    faces = np.empty(edges.shape, dtype=np.int64)
    for axis in range(3):
        for place in range(4):  # the cell that makes the edge's vertex is one step back on each axis with position 0
            step = np.insert(AT[4 * axis + place] - 1, axis, 0) @ stride
            owner[:, place] = owners.find(keys + step) if step else np.arange(len(keys))
        row, column = np.nonzero(AXIS[edges] == axis)
        faces[row, column] = number[owner[of_face[row], edges[row, column] % 4], axis]
    return vertices, faces


LAST_EDGES = np.array([3, 7, 11])  # the edges along x, y and z that are at (1, 1) on the two other axes


@functools.cache
def _triangles() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Derive PyMCubes' table of triangles, by running it on a cell with each of the 256 patterns of inside corners.

    Returns:
        For each pattern, up to 5 triangles, (256, 5, 3), each given by three edges, and the (256,) number of triangles.
    """
    triangles, counts = np.zeros((256, 5, 3), dtype=np.int64), np.zeros(256, dtype=np.int64)
    middles = LOW + ALONG / 2
    for pattern in range(256):
        corners = np.where(pattern >> np.arange(8) & 1, 1.0, -1.0)
        vertices, faces = marching_cubes(corners.reshape(2, 2, 2))
        edge = np.array(
            [int(np.flatnonzero((middles == vertex).all(axis=1))[0]) for vertex in vertices], dtype=np.int64
        )
        counts[pattern] = len(faces)
        triangles[pattern, : len(faces)] = edge[faces] if len(faces) else 0
    return triangles, counts
