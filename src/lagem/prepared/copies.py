"""Duplicates: shapes that are the same, or nearly the same, under two ids.

Each shape is described by the distances from fixed probe points to its surface. Such a distance differs between two
shapes by at most their Hausdorff distance, so a search among descriptors finds every pair of shapes whose Hausdorff
distance is below a bound. Shapes are compared without alignment: a rotated or mirrored copy counts as another shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial import cKDTree

from lagem.geometry.metrics import chamfer_distance, sampling_floor
from lagem.prepared.descriptors import COMPARED_POINTS, describe, first_points
from lagem.prepared.shards import Shards

# S shapes; lengths in unit-sphere units


@dataclass(frozen=True)
class Copy:
    """Two shapes that are close to each other.

    distance: Chamfer distance of their stored surface points, distances not squared, both directions summed.
    floor: the Chamfer distance expected of two samplings of one surface.
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
    """Pairs of shapes that are close to each other.

    Candidates are the pairs whose Hausdorff distance is below the bound. A candidate is kept if its Chamfer distance
    exceeds that of two samplings of one surface by less than the bound.

    Args:
        shards: The shapes.
        areas: (S,) areas of their surfaces, from which the spacing of their points follows.
        within: The bound, in unit-sphere units.
    """
    descriptors = np.stack(
        [describe(first_points(shards, index)) for index in track(range(len(shards)), "describing", transient=True)]
    )
    counts = [min(COMPARED_POINTS, shards.count(index, "surface_points")) for index in range(len(shards))]
    uncovered = 2 * np.sqrt(areas / counts)  # a sampling has a larger hole with probability exp(-4 pi)
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
