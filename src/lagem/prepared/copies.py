"""Search for copies: pairs of shapes with different ids that are the same or nearly the same.

The descriptor of a shape is the vector of distances from fixed probe points to its surface. For two shapes, each of
these distances differs by at most the shapes' Hausdorff distance. So a search among the descriptors finds every pair of
shapes whose Hausdorff distance is below a bound. Shapes are compared without alignment, so a rotated or mirrored copy
counts as another shape.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.metrics import chamfer_distance, sampling_floor
from lagem.prepared.descriptors import COMPARED_POINTS, describe, first_points
from lagem.prepared.shards import Shards
from lagem.progress import long_progress

# S shapes; lengths in unit-sphere units


@dataclass(frozen=True)
class Copy:
    """Two shapes that are close to each other.

    first, second: indices of the shapes.
    distance: Chamfer distance between their stored surface points; distances are not squared, and both directions are
        summed.
    floor: expected Chamfer distance between two samplings of the same surface.
    """

    first: int
    second: int
    distance: float
    floor: float

    @property
    def same(self) -> bool:
        """Whether the distance is so small that two random samplings of one surface could have it."""
        return self.distance < 1.25 * self.floor


def find_copies(shards: Shards, areas: NDArray[np.floating], *, within: float) -> list[Copy]:
    """Find the pairs of shapes that are close to each other.

    All pairs whose Hausdorff distance may be below the bound are candidates. A candidate is returned if its Chamfer
    distance is less than the bound plus the distance expected between two samplings of the same surface.

    Args:
        shards: The shapes.
        areas: (S,) areas of the shapes' surfaces, from which the spacing of the stored points is estimated.
        within: The bound, in unit-sphere units.
    """
    with long_progress() as progress:
        indices = progress.track(range(len(shards)), description="describing")
        descriptors = np.stack([describe(first_points(shards, index)) for index in indices])
    counts = [min(COMPARED_POINTS, shards.count(index, "surface_points")) for index in range(len(shards))]
    # radius of the largest gap between sampled points; a disc of this radius is empty with probability exp(-4 pi)
    uncovered = 2 * np.sqrt(areas / counts)
    near = cKDTree(descriptors).query_pairs(within + uncovered.max(), p=np.inf)
    pairs = np.array(sorted(near), dtype=np.int64).reshape(-1, 2)
    gaps = np.abs(descriptors[pairs[:, 0]] - descriptors[pairs[:, 1]]).max(axis=1)
    pairs = pairs[gaps < within + uncovered[pairs].max(axis=1)]
    found = []
    with long_progress() as progress:
        for first, second in progress.track(pairs.tolist(), description="comparing") if len(pairs) else []:
            clouds = [first_points(shards, index) for index in (first, second)]
            distance = chamfer_distance(*clouds)
            floor = sampling_floor(float(np.mean(areas[[first, second]])), *map(len, clouds))
            if distance - floor < within:
                found.append(Copy(first, second, distance, floor))
    return found
