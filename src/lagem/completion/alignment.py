"""Find where a whole shape lies in the coordinates of a partial point cloud.

The cloud shows only a part of the shape, so the size and the centre of the whole shape are unknown. The shape and the
cloud have the same orientation, so only a scale and a translation must be found. There is a first guess for each of 26
directions: it places the shape so that the part seen from this direction has the same centre and scale as the cloud.
The best guesses are refined by iterating over nearest points (ICP: Besl and McKay 1992).

Letters: N points of the cloud, P points of the whole shape, S first guesses.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.embeddings.visibility import seen_points
from lagem.geometry.frame import Frame

Points = NDArray[np.floating]

DIRECTIONS = np.array([steps for steps in product((-1, 0, 1), repeat=3) if any(steps)], dtype=np.float64)
ROUGH_POINTS = 64  # maximum number of points of the cloud by which first guesses are compared
REFINED = 3  # number of first guesses that are refined
ROUNDS = 30  # number of iterations of a refinement
SMALLEST, LARGEST = 0.9, 4.0  # limits of the size of the whole shape, divided by the size of the cloud


@dataclass(frozen=True)
class Fit:
    """Where a whole shape lies in the coordinates of a cloud.

    frame: maps the coordinates of the cloud to the unit sphere of the whole shape.
    distance: mean distance of the points of the cloud from the whole shape, in units of the cloud's coordinates.
    """

    frame: Frame
    distance: float


class WholeSurface:
    """The surface of a whole shape, prepared for fits to many clouds.

    Args:
        points: (P, 3) points on the surface, in the unit sphere of the shape.
        share: Fraction of the surface that a cloud shows.
    """

    def __init__(self, points: Points, *, share: float) -> None:
        self._points, self._tree = points, cKDTree(points)
        parts = [Frame.of(points[seen_points(points, direction, share)]) for direction in DIRECTIONS]
        self._guesses = [Frame(center=-part.center * part.scale, scale=1 / part.scale) for part in parts]

    def rough_distance(self, cloud: Points) -> float:
        """Return the mean distance of up to `ROUGH_POINTS` cloud points from this shape, at the best first guess."""
        return min(distance for distance, _ in self._rough(cloud))

    def fit(self, cloud: Points) -> Fit:
        """Return where this shape lies in the coordinates of a cloud: the refined guess with the smallest distance.

        Args:
            cloud: (N, 3) points, moved and scaled into the unit sphere.
        """
        best = sorted(self._rough(cloud), key=lambda guess: guess[0])[:REFINED]
        return min((self._refined(cloud, frame) for _, frame in best), key=lambda fit: fit.distance)

    def _rough(self, cloud: Points) -> list[tuple[float, Frame]]:
        few = cloud[:: -(-len(cloud) // ROUGH_POINTS)]
        distances, _ = self._tree.query(np.concatenate([frame.to_unit(few) for frame in self._guesses]))
        means = distances.reshape(len(self._guesses), -1).mean(axis=1)
        return [(float(mean / frame.scale), frame) for frame, mean in zip(self._guesses, means, strict=True)]

    def _refined(self, cloud: Points, frame: Frame) -> Fit:
        for _ in range(ROUNDS):
            _, nearest = self._tree.query(frame.to_unit(cloud))
            frame = _frame_between(cloud, self._points[nearest])
        distance, _ = self._tree.query(frame.to_unit(cloud))
        return Fit(frame, float(distance.mean() / frame.scale))


def _frame_between(cloud: Points, whole: Points) -> Frame:
    """Return the frame that maps (N, 3) points of the cloud as near as possible to (N, 3) points of the whole shape.

    The frame minimises the sum of the squared distances, measured in the coordinates of the cloud. In the coordinates
    of the whole shape, the distances could be made small by shrinking the cloud. The size of the whole shape, relative
    to the cloud, stays between `SMALLEST` and `LARGEST`.
    """
    mean, mean_whole = cloud.mean(axis=0), whole.mean(axis=0)
    about = whole - mean_whole
    size = float(((cloud - mean) * about).sum() / max(float((about**2).sum()), np.finfo(np.float64).tiny))
    size = min(max(size, SMALLEST), LARGEST)
    return Frame(center=mean - size * mean_whole, scale=1 / size)
