"""Shapes that are there twice: the same, or nearly the same, under two ids.

Each shape is described by the distances from fixed places to its surface. Such a distance differs between two shapes
by no more than their Hausdorff distance, so a search among descriptors finds every pair of shapes that lie within a
bound of one another everywhere. Shapes are compared as they stand: a turned or mirrored copy is another shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial import cKDTree

from lagem.geometry.metrics import chamfer_distance, sampling_floor
from lagem.prepared.descriptors import COMPARED_POINTS, describe, first_points
from lagem.prepared.shards import Shards

# S shapes, K places; lengths in unit-sphere units


@dataclass(frozen=True)
class Copy:
    """Two shapes that lie close to one another.

    distance: chamfer distance of their stored surfaces, distances not squared, both directions summed.
    floor: what two samplings of one surface would have.
    """

    first: int
    second: int
    distance: float
    floor: float

    @property
    def same(self) -> bool:
        """Whether sampling alone explains the distance."""
        return self.distance < 1.25 * self.floor


def find_copies(shards: Shards, areas: NDArray[np.floating], *, within: float) -> list[Copy]:
    """Pairs of shapes that lie within a bound of one another.

    Searched for are pairs that do so everywhere; kept are those whose chamfer distance exceeds that of two samplings
    of one surface by less than the bound.

    Args:
        shards: The shapes.
        areas: (S,) of their surfaces: how far apart their sampled points are.
        within: The bound, in unit-sphere units.
    """
    descriptors = np.stack(
        [describe(first_points(shards, index)) for index in track(range(len(shards)), "describing", transient=True)]
    )
    counts = [min(COMPARED_POINTS, shards.count(index, "surface_points")) for index in range(len(shards))]
    uncovered = 2 * np.sqrt(areas / counts)  # the chance of a larger hole in a sampling is exp(-4 pi)
    near = cKDTree(descriptors).query_pairs(within + uncovered.max(), p=np.inf)
    pairs = np.array(sorted(near), dtype=np.int64).reshape(-1, 2)
    gaps = np.abs(descriptors[pairs[:, 0]] - descriptors[pairs[:, 1]]).max(axis=1)
    pairs = pairs[gaps < within + uncovered[pairs].max(axis=1)]
    found = []
    for first, second in track(pairs.tolist(), "comparing", transient=True, disable=len(pairs) == 0):
        clouds = [first_points(shards, index) for index in (first, second)]
        distance = chamfer_distance(*clouds)
        floor = sampling_floor(float(np.mean(areas[[first, second]])), *map(len, clouds))
        if distance - floor < within:
            found.append(Copy(first, second, distance, floor))
    return found
