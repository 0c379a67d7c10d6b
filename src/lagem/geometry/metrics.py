"""Chamfer distance, F-score and IoU as published.

The LaGeM paper (tables 4 and 5) gives no definitions. These follow the evaluation script of 3DShape2VecSet, by the same
authors: 100,000 points on the predicted surface, Euclidean distances, not squared. Tables print values times 100.
Values from different frames (box, unit sphere) are not comparable.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface

# A, B points of two clouds, R reference points, P predicted points, N labelled points; all in the same unit of length

Points = NDArray[np.floating]


@dataclass(frozen=True)
class SurfaceScore:
    """Score of one reconstruction.

    chamfer: see `chamfer_distance`; fscore: see `fscore`, at `threshold`.
    floor: expected Chamfer distance of a perfect reconstruction, caused by sampling alone.
    """

    chamfer: float
    fscore: float
    threshold: float
    floor: float


def surface_distances(a: Points, b: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Euclidean distance of every point to the nearest point of the other cloud.

    Args:
        a: (A, 3) float.
        b: (B, 3) float.

    Returns:
        a_to_b (A,) and b_to_a (B,) float64.

    Raises:
        ValueError: If a cloud is empty or not finite.
    """
    (a_to_b, _), (b_to_a, _) = nearest_points(a, b)
    return a_to_b, b_to_a


def nearest_points(
    a: Points, b: Points
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Like `surface_distances`, but each distance comes with the index of the nearest point."""
    clouds = [np.asarray(cloud, dtype=np.float64).reshape(-1, 3) for cloud in (a, b)]
    for name, cloud in zip(("first", "second"), clouds, strict=True):
        if len(cloud) == 0 or not np.isfinite(cloud).all():
            raise ValueError(
                f"the {name} cloud has {len(cloud)} points, but distances need at least one, and only finite ones."
            )
    of_a, of_b = (cKDTree(cloud) for cloud in clouds)
    return _nearest(of_a, of_b), _nearest(of_b, of_a)


def _nearest(points: cKDTree, others: cKDTree) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance and index of the nearest other of each point, asked tree leaf by tree leaf, which caches reward."""
    order = points.indices
    distance, index = np.empty(len(order)), np.empty(len(order), dtype=np.int64)
    distance[order], index[order] = others.query(points.data[order], workers=1)
    return distance, index


def chamfer_distance(reference: Points, predicted: Points) -> float:
    """Mean(reference to predicted) + mean(predicted to reference).

    Distances are not squared, and the sum is not halved.

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
    """
    return chamfer_of(*surface_distances(reference, predicted))


def fscore(reference: Points, predicted: Points, threshold: float = 0.02) -> float:
    """Harmonic mean of precision and recall, the fractions of points nearer than `threshold`.

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
        threshold: In the unit of the points.

    Returns:
        In [0, 1]; 0 if no point is near.
    """
    return fscore_of(*surface_distances(reference, predicted), threshold)


def iou(
    predicted: NDArray[np.bool_], occupancy: NDArray[np.bool_], weight: NDArray[np.floating] | None = None
) -> float:
    """Intersection over union of two labellings of the same volume points.

    Args:
        predicted: (N,) bool, logits > 0.
        occupancy: (N,) bool, ground truth.
        weight: (N,) float, the number of uniform draws that a point represents; None means 1.

    Returns:
        In [0, 1]; 1 if both are empty.

    Raises:
        ValueError: If the arrays' shapes differ.
    """
    predicted, occupancy = np.asarray(predicted, dtype=np.bool_), np.asarray(occupancy, dtype=np.bool_)
    mass = np.ones(predicted.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if not predicted.shape == occupancy.shape == mass.shape:
        raise ValueError(
            "labels and weights must have the same shape, but "
            f"{predicted.shape}, {occupancy.shape}, {mass.shape} were given."
        )
    union = mass[predicted | occupancy].sum()
    return float(mass[predicted & occupancy].sum() / union) if union > 0 else 1.0


def sampling_floor(area: float, reference_count: int, predicted_count: int) -> float:
    """Expected Chamfer distance between two uniform samplings of the same surface.

    The nearest of n points on an area A is 0.5 sqrt(A / n) away on average (Poisson process in the plane).
    """
    return 0.5 * float(np.sqrt(area / predicted_count) + np.sqrt(area / reference_count))


def score_surface(
    mesh: Mesh, reference_points: Points, *, rng: np.random.Generator, count: int = 100_000, threshold: float = 0.02
) -> SurfaceScore:
    """Chamfer distance and F-score of a predicted mesh, with the sampling floor for its area.

    Args:
        mesh: The prediction, in the frame of the reference points.
        reference_points: (R, 3) float, the stored surface points.
        rng: Draws the points on the mesh.
        count: P, points drawn on the mesh.
        threshold: Threshold of the F-score, in the frame's unit.
    """
    predicted, _ = sample_surface(mesh, count, rng)
    distances = surface_distances(reference_points, predicted)
    return SurfaceScore(
        chamfer=chamfer_of(*distances),
        fscore=fscore_of(*distances, threshold),
        threshold=threshold,
        floor=sampling_floor(mesh.area, len(reference_points), count),
    )


def chamfer_of(reference_to_predicted: NDArray[np.float64], predicted_to_reference: NDArray[np.float64]) -> float:
    """`chamfer_distance` from distances that are already known."""
    return float(reference_to_predicted.mean() + predicted_to_reference.mean())


def fscore_of(
    reference_to_predicted: NDArray[np.float64], predicted_to_reference: NDArray[np.float64], threshold: float
) -> float:
    """`fscore` from distances that are already known."""
    recall = float((reference_to_predicted < threshold).mean())
    precision = float((predicted_to_reference < threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
