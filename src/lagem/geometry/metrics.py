"""Chamfer distance, F-score and IoU, as used in publications.

The LaGeM paper (tables 4 and 5) does not define them. The definitions here follow the evaluation script of
3DShape2VecSet, by the same authors: it draws 100,000 points on the predicted surface, and uses Euclidean distances that
are not squared. The tables of the paper and of this package print the Chamfer distance and the F-score times 100.
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
    """The scores of one reconstruction.

    chamfer: Chamfer distance, as `chamfer_distance` computes it.
    fscore: F-score at `threshold`, as `fscore` computes it.
    floor: expected Chamfer distance of a perfect reconstruction; it is not 0, since only random points
        of the surfaces are compared.
    """

    chamfer: float
    fscore: float
    threshold: float
    floor: float


def surface_distances(a: Points, b: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the Euclidean distance from every point to the nearest point of the other cloud.

    Args:
        a: (A, 3) float, one cloud.
        b: (B, 3) float, the other cloud.

    Returns:
        (A,) float64 distances from the points of `a`, and (B,) float64 distances from the points of `b`.

    Raises:
        ValueError: If a cloud is empty or not finite.
    """
    (a_to_b, _), (b_to_a, _) = nearest_points(a, b)
    return a_to_b, b_to_a


def nearest_points(
    a: Points, b: Points
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Compute the distances that `surface_distances` returns, each with the index of the nearest point.

    Returns:
        Distances and indices for the points of `a`, and distances and indices for the points of `b`.
    """
    clouds = [np.asarray(cloud, dtype=np.float64).reshape(-1, 3) for cloud in (a, b)]
    for name, cloud in zip(("first", "second"), clouds, strict=True):
        if len(cloud) == 0 or not np.isfinite(cloud).all():
            raise ValueError(
                f"the {name} cloud has {len(cloud)} points; at least one is needed, and all coordinates must be finite."
            )
    of_a, of_b = (cKDTree(cloud) for cloud in clouds)
    return _nearest(of_a, of_b), _nearest(of_b, of_a)


def _nearest(points: cKDTree, others: cKDTree) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return, for each point of a cloud, the distance to the nearest point of another cloud, and that point's index.

    The points are queried in the order of their tree's leaves, because queries of neighbouring points use the same
    entries of the CPU caches. The queries are divided among as many threads as torch uses.
    """
    import torch

    order = points.indices
    distance, index = np.empty(len(order)), np.empty(len(order), dtype=np.int64)
    distance[order], index[order] = others.query(points.data[order], workers=torch.get_num_threads())
    return distance, index


def chamfer_distance(reference: Points, predicted: Points) -> float:
    """Return the mean distance from reference to predicted points, plus the mean distance in the other direction.

    Distances are not squared, and the sum is not halved.

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
    """
    return chamfer_of(*surface_distances(reference, predicted))


def fscore(reference: Points, predicted: Points, threshold: float = 0.02) -> float:
    """Return the F-score, the harmonic mean of precision and recall.

    Precision is the fraction of predicted points that are nearer than `threshold` to a reference point; recall is the
    fraction of reference points that are nearer than `threshold` to a predicted point.

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
        threshold: Distance, in the unit of the points.

    Returns:
        The F-score, from 0 to 1; 0 if no point is near enough.
    """
    return fscore_of(*surface_distances(reference, predicted), threshold)


def iou(
    predicted: NDArray[np.bool_], occupancy: NDArray[np.bool_], weight: NDArray[np.floating] | None = None
) -> float:
    """Return the intersection over union of two labellings of the same volume points.

    Args:
        predicted: (N,) bool, the predicted labels: logits > 0.
        occupancy: (N,) bool, the true labels.
        weight: (N,) float, the number of uniform draws that each point represents. If it is None, every point
            represents 1 draw.

    Returns:
        The IoU, from 0 to 1; 1 if no point is inside by either labelling.

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
    """Return the expected Chamfer distance between two uniform samplings of the same surface.

    The nearest of n random points on an area A is 0.5 sqrt(A / n) away on average (Poisson process in the plane).

    Args:
        area: Area of the surface.
        reference_count: Number of points in one sampling.
        predicted_count: Number of points in the other sampling.
    """
    return 0.5 * float(np.sqrt(area / predicted_count) + np.sqrt(area / reference_count))


def score_surface(
    mesh: Mesh, reference_points: Points, *, rng: np.random.Generator, count: int = 100_000, threshold: float = 0.02
) -> SurfaceScore:
    """Compute the Chamfer distance and the F-score of a predicted mesh, and the sampling floor for its area.

    Args:
        mesh: The predicted mesh, in the frame of the reference points.
        reference_points: (R, 3) float, the stored surface points.
        rng: Draws the points on the mesh.
        count: P, number of points drawn on the mesh.
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
    """Return the Chamfer distance, given the two arrays of distances that `surface_distances` returns."""
    return float(reference_to_predicted.mean() + predicted_to_reference.mean())


def fscore_of(
    reference_to_predicted: NDArray[np.float64], predicted_to_reference: NDArray[np.float64], threshold: float
) -> float:
    """Return the F-score, given the two arrays of distances that `surface_distances` returns."""
    recall = float((reference_to_predicted < threshold).mean())
    precision = float((predicted_to_reference < threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
