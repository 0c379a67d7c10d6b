"""Descriptors of shapes: the distances from fixed probe points to a shape's surface."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.prepared.shards import Shards
from lagem.randomness import sample_generator

PROBES = 64
COMPARED_POINTS = 16_384  # maximum number of points of a surface that are used


def describe(surface_points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (64,) distances from 64 fixed probe points to a surface, which is given by (N, 3) points on it."""
    probes = sample_generator(0, 0, "places").uniform(-1, 1, (PROBES, 3))
    distances: NDArray[np.float64] = cKDTree(surface_points).query(probes, workers=1)[0]
    return distances


def first_points(shards: Shards, index: int, most: int = COMPARED_POINTS) -> NDArray[np.float32]:
    """Return the first `most` surface points of shape `index`, (N, 3), or all if it has fewer."""
    return shards.read(index, "surface_points", 0, min(most, shards.count(index, "surface_points")))
