"""Marching cubes: PyMCubes on a dense volume, and PyMCubes' triangle table on crossed cells only.

Both give identical bytes: vertices and faces in PyMCubes' order, and vertices by its arithmetic.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.key_index import KeyIndex, Keys

# K crossed cells, V vertices, F faces. A cell's 12 edges: the axis each runs along, and its position on the other two.

AXIS = np.repeat([0, 1, 2], 4)
AT = np.tile(np.indices((2, 2)).reshape(2, 4).T, (3, 1))  # (12, 2), on the two other axes in order
ALONG = np.eye(3, dtype=np.int64)[AXIS]
LOW = np.stack([np.insert(at, axis, 0) for axis, at in zip(AXIS, AT, strict=True)])  # (12, 3) lower end of each edge


def marching_cubes(volume: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Triangles where the volume crosses 0, facing the negative side.

    Args:
        volume: (X, Y, Z) float64, > 0 inside.

    Returns:
        vertices (V, 3) float64 in units of nodes, each on an edge between two neighbouring nodes, and faces (F, 3)
        int64. The surface is closed if the whole border of the volume is outside.
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
    """The result of `marching_cubes` for a volume of which only the crossed cells are known.

    Args:
        keys: (K,) keys of all crossed cells, sorted: the key of each cell's lowest node in a volume of `side` nodes
            per side. No node on the volume's border may be inside.
        corners: (K, 8) values, the last axis fastest.
        side: Nodes per side of the volume.

    Returns:
        vertices (V, 3) and faces (F, 3).
    """
    inside = corners > 0
    pattern = inside @ (1 << np.arange(8))
    stride = np.array([side * side, side, 1])
    low = np.stack(np.unravel_index(keys, (side,) * 3), axis=1)

    # A vertex is made by the first cell that has its edge: the cell for which that edge is the far one of its axis, at
    # (1, 1) on the other two. A cell makes its vertices on x, y, z in this order.
    far = LAST_EDGES
    ends = LOW[far] @ [4, 2, 1], (LOW + ALONG)[far] @ [4, 2, 1]
    made = inside[:, ends[0]] != inside[:, ends[1]]
    number = np.cumsum(made).reshape(made.shape) - 1
    cell, slot = np.nonzero(made)
    below, above = corners[cell, ends[0][slot]], corners[cell, ends[1][slot]]
    vertices = (low[cell] + LOW[far][slot]).astype(np.float64)
    on_x = slot == 0  # there PyMCubes interpolates from the upper to the lower end
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
        for place in range(4):  # the owner of an edge is one step back on each axis on which the edge is not far
            step = np.insert(AT[4 * axis + place] - 1, axis, 0) @ stride
            owner[:, place] = owners.find(keys + step) if step else np.arange(len(keys))
        row, column = np.nonzero(AXIS[edges] == axis)
        faces[row, column] = number[owner[of_face[row], edges[row, column] % 4], axis]
    return vertices, faces


LAST_EDGES = np.array([3, 7, 11])  # the edges at (1, 1), along x, y, z


@functools.cache
def _triangles() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pattern of inside corners, up to 5 triangles as (256, 5, 3) edges, and their number; from PyMCubes."""
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
