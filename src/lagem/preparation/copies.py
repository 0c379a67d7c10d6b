"""Shapes that are there twice: the same, or nearly the same, under two ids.

Each shape is described by the distances from fixed places to its surface. Such a distance differs between two shapes
by no more than their Hausdorff distance, so a search among descriptors finds every pair that lies within the bound
everywhere. Shapes are compared as they stand: a turned or mirrored copy is another shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial import cKDTree

from lagem.geometry.metrics import sampling_floor, surface_distances
from lagem.preparation.shards import Shards
from lagem.randomness import sample_generator

# S shapes, K places; lengths in unit-sphere units

PLACES = 64
DESCRIBED_POINTS = 16_384  # surface points that the distances are taken to
COMPARED_POINTS = 16_384
SAMPLING = 0.03  # by which sampling may change a distance


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
    """Pairs of shapes whose chamfer distance exceeds that of two samplings of one surface by less than `within`.

    Args:
        shards: The shapes.
        areas: (S,) of their surfaces, for the floor.
        within: In unit-sphere units.
    """
    descriptors = np.stack(
        [describe(shards, index) for index in track(range(len(shards)), "describing", transient=True)]
    )
    pairs = cKDTree(descriptors).query_pairs(within + SAMPLING, p=np.inf)
    found = []
    for first, second in track(sorted(pairs), "comparing", transient=True, disable=not pairs):
        clouds = [shards.read(index, "surface_points", 0, COMPARED_POINTS) for index in (first, second)]
        distance = float(sum(side.mean() for side in surface_distances(*clouds)))
        floor = sampling_floor(float(np.mean(areas[[first, second]])), COMPARED_POINTS, COMPARED_POINTS)
        if distance - floor < within:
            found.append(Copy(first, second, distance, floor))
    return found


def describe(shards: Shards, index: int) -> NDArray[np.float64]:
    """(K,) distances from fixed places to a shape's surface."""
    places = sample_generator(0, 0, "places").uniform(-1, 1, (PLACES, 3))
    surface = shards.read(index, "surface_points", 0, DESCRIBED_POINTS)
    distances: NDArray[np.float64] = cKDTree(surface).query(places, workers=1)[0]
    return distances
