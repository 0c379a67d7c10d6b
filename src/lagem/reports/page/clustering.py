"""Reduce any mesh to a given number of faces or fewer, by merging the vertices that lie in the same cell of a grid.

Unlike the collapse of edges (`lagem.geometry.components`), this works for open, non-manifold and self-intersecting
meshes, and it always reaches the requested number. The result may not be closed, so it is meant for display only.
"""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.mesh import Mesh

# Letters: V vertices, F faces, C cells that hold a vertex.

MOST_CELLS = 1024  # largest number of cells along the longest side of the grid
PULL = 1e-3  # weight of the mean of the merged vertices; it fixes the point in directions that no plane fixes


def clustered(mesh: Mesh, most_faces: int) -> Mesh:
    """Return a mesh reduced to at most `most_faces` faces. A mesh that already has so few is returned unchanged.

    The vertices in each cell of a grid are replaced by the point that is nearest to the planes of their faces
    (Lindstrom, Out-of-core simplification, 2000), so edges and corners stay sharp. The grid is as fine as the number of
    faces allows.

    Args:
        mesh: Any mesh with a positive extent.
        most_faces: Maximum number of faces, at least 1.
    """
    if most_faces < 1:
        raise ValueError(f"a mesh cannot be reduced to {most_faces} faces; ask for at least 1.")
    if len(mesh.faces) <= most_faces:
        return mesh
    low = mesh.vertices.min(axis=0)
    side = np.ptp(mesh.vertices, axis=0).max()
    relative = (mesh.vertices - low) / side
    fits, exceeds = 1, MOST_CELLS  # in a grid of one cell, no face is left
    while exceeds - fits > 1:
        cells = (fits + exceeds) // 2
        labels = _labels(relative, cells)[mesh.faces]
        if np.count_nonzero(_has_three_corners(labels)) <= most_faces:
            fits = cells
        else:
            exceeds = cells
    occupied, label = np.unique(_labels(relative, fits), return_inverse=True)
    faces = label[mesh.faces]
    points = _nearest_to_planes(mesh, relative, label, len(occupied), fits)
    return Mesh(low + side * points, faces, up=mesh.up).with_faces(_has_three_corners(faces))


def _labels(relative: NDArray[np.float64], cells: int) -> NDArray[np.int64]:
    """Return the number of the cell that contains each vertex, (V,), given the (V, 3) vertices scaled into [0, 1]."""
    x, y, z = np.minimum((relative * cells).astype(np.int64), cells - 1).T
    return (x * cells + y) * cells + z


def _has_three_corners(faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])


def _nearest_to_planes(
    mesh: Mesh, relative: NDArray[np.float64], label: NDArray[np.int64], count: int, cells: int
) -> NDArray[np.float64]:
    """Return for each cell, (C, 3), the point nearest to the planes of the faces that have a vertex in the cell.

    The point minimises the sum of the squared distances to these planes, weighted by the areas of the faces. Along each
    axis, it differs from the mean of the cell's vertices by at most the length of a cell's side.
    """
    sums = [np.bincount(label, weights=relative[:, axis], minlength=count) for axis in range(3)]
    mean = np.stack(sums, axis=1) / np.bincount(label, minlength=count)[:, None]
    normals, areas = mesh.normals_and_areas()
    weights = areas / areas.sum()
    matrix, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for corner in range(3):
        cell = label[mesh.faces[:, corner]]
        # relative to the mean of the cell, because large terms would cancel and lose digits
        offset = np.einsum("fc,fc->f", normals, relative[mesh.faces[:, corner]] - mean[cell])
        for i in range(3):
            right[:, i] += np.bincount(cell, weights=weights * offset * normals[:, i], minlength=count)
            for j in range(3):
                matrix[:, i, j] += np.bincount(cell, weights=weights * normals[:, i] * normals[:, j], minlength=count)
    trace = np.trace(matrix, axis1=1, axis2=2)
    matrix += (PULL * trace + np.finfo(np.float64).tiny)[:, None, None] * np.eye(3)
    moved = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
    return np.clip(mean + np.clip(moved, -1 / cells, 1 / cells), 0, 1)
