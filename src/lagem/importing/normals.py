"""Normals of a surface that is given by points only, estimated from the points and the labels near them.

A normal has the direction of least variance among neighbouring surface points. Votes decide which of the two opposite
directions is outward. Each near query votes at the surface point nearest to it: outward is towards the query if the
query is outside, and away from the query if it is inside. For each normal, the votes at the neighbouring surface points
are summed; votes at nearer points have more weight.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

# N surface points, Q queries, K neighbours

NEIGHBOURS = 12
AT_ONCE = 1 << 15  # surface points handled at once, to bound memory


def outward_votes(
    points: NDArray[np.float64],
    queries: NDArray[np.float64],
    inside: NDArray[np.bool_],
    nearest: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return for each surface point the sum of its votes: (N, 3) vectors that point outward; zero without votes.

    Each query votes at the surface point nearest to it.

    Args:
        points: (N, 3) points on the surface.
        queries: (Q, 3) points near the surface.
        inside: (Q,) labels of the queries, True inside.
        nearest: (Q,) index of the surface point that is nearest to each query.
    """
    away = queries - points[nearest]
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    away[inside] *= -1
    return np.stack([np.bincount(nearest, away[:, axis], minlength=len(points)) for axis in range(3)], axis=1)


def estimate_normals(points: NDArray[np.float64], tree: cKDTree, votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the outward normals of a surface.

    Args:
        points: (N, 3) points on the surface.
        tree: The k-d tree of these points.
        votes: (N, 3) what `outward_votes` returns.

    Returns:
        (N, 3) normals of unit length.
    """
    count = min(NEIGHBOURS, len(points))
    normals = np.empty_like(points)
    for start in range(0, len(points), AT_ONCE):
        distance, neighbours = tree.query(points[start : start + AT_ONCE], k=count, workers=1)
        around = points[neighbours]
        around -= around.mean(axis=1, keepdims=True)
        direction = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0]
        reach = np.maximum(distance[:, 1:].mean(axis=1, keepdims=True), 1e-12)
        weight = np.exp(-2 * (distance / reach) ** 2)
        outward = np.einsum("nk,nki,ni->n", weight, votes[neighbours], direction)
        normals[start : start + AT_ONCE] = np.where(outward[:, None] < 0, -direction, direction)
    return normals
