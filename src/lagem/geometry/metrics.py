"""How close a reconstruction is: Chamfer, F-score and IoU as published.

The paper (LaGeM, tables 4 and 5) names no definition; this is that of 3DShape2VecSet's eval script, by the same
authors: 100,000 points on the predicted surface, Euclidean distances, not squared. Tables print the figures x 100.
Figures of different frames (box, unit sphere) are not comparable.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface

# A, B points of two clouds, R reference points, P predicted points, N labelled points; one unit of length throughout

Points = NDArray[np.floating]


@dataclass(frozen=True)
class SurfaceScore:
    """Score of one reconstruction (3DShape2VecSet's eval script).

    chamfer: see `chamfer_distance`; fscore: see `fscore`, at `threshold`.
    floor: expected Chamfer of a perfect reconstruction, from sampling alone; a score near it says no more.
    """

    chamfer: float
    fscore: float
    threshold: float
    floor: float


def surface_distances(a: Points, b: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Euclidean distance of every point to the nearest one of the other cloud.

    Args:
        a: (A, 3) float.
        b: (B, 3) float.

    Returns:
        a_to_b (A,) and b_to_a (B,) float64. ValueError where a cloud is empty or not finite.
    """
    (there, _), (back, _) = nearest_points(a, b)
    return there, back


def nearest_points(
    a: Points, b: Points
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """As `surface_distances`, with the index of the nearest point beside each distance."""
    clouds = [np.asarray(cloud, dtype=np.float64).reshape(-1, 3) for cloud in (a, b)]
    for name, cloud in zip(("first", "second"), clouds, strict=True):
        if len(cloud) == 0 or not np.isfinite(cloud).all():
            raise ValueError(f"the {name} cloud has {len(cloud)} points, none or not all finite: no distance to it.")
    there = cKDTree(clouds[1]).query(clouds[0], workers=1)
    back = cKDTree(clouds[0]).query(clouds[1], workers=1)
    return there, back


def chamfer_distance(reference: Points, predicted: Points) -> float:
    """Mean(reference to predicted) + mean(predicted to reference) (3DShape2VecSet's eval script).

    Distances are neither squared nor is their sum halved.

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
    """
    return _chamfer(*surface_distances(reference, predicted))


def fscore(reference: Points, predicted: Points, threshold: float = 0.02) -> float:
    """Harmonic mean of precision and recall at a distance below `threshold` (3DShape2VecSet's eval script).

    Args:
        reference: (R, 3) float, points on the true surface.
        predicted: (P, 3) float, points on the predicted surface.
        threshold: In the unit of the points.

    Returns:
        In [0, 1]; 0 where nothing is near.
    """
    return fscore_of(*surface_distances(reference, predicted), threshold)


def iou(
    predicted: NDArray[np.bool_], occupancy: NDArray[np.bool_], weight: NDArray[np.floating] | None = None
) -> float:
    """Intersection over union of two labellings of one set of volume points (3DShape2VecSet's eval script).

    Args:
        predicted: (N,) bool, logits > 0.
        occupancy: (N,) bool, the truth.
        weight: (N,) float, uniform draws that a point stands for; None is 1.

    Returns:
        In [0, 1]; 1 where both are empty. ValueError where shapes differ.
    """
    predicted, occupancy = np.asarray(predicted, dtype=np.bool_), np.asarray(occupancy, dtype=np.bool_)
    mass = np.ones(predicted.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if not predicted.shape == occupancy.shape == mass.shape:
        raise ValueError(
            f"labels and weights are of one shape, but {predicted.shape}, {occupancy.shape}, {mass.shape} were given."
        )
    union = mass[predicted | occupancy].sum()
    return float(mass[predicted & occupancy].sum() / union) if union > 0 else 1.0


def sampling_floor(area: float, reference_count: int, predicted_count: int) -> float:
    """Expected Chamfer between two uniform samplings of one surface.

    Among n points scattered over an area A, the nearest lies 0.5 sqrt(A / n) away on average (a plane Poisson process).
    """
    return 0.5 * float(np.sqrt(area / predicted_count) + np.sqrt(area / reference_count))


def score_surface(
    mesh: Mesh, reference_points: Points, *, rng: np.random.Generator, count: int = 100_000, threshold: float = 0.02
) -> SurfaceScore:
    """Chamfer and F-score of a predicted mesh (3DShape2VecSet's eval script), with the floor of its area.

    Args:
        mesh: The prediction, in the frame of the reference points.
        reference_points: (R, 3) float, the stored surface points.
        rng: Draws the points on the mesh.
        count: P, points drawn on the mesh.
        threshold: Of the F-score, in the frame's unit.
    """
    predicted, _ = sample_surface(mesh, count, rng)
    distances = surface_distances(reference_points, predicted)
    return SurfaceScore(
        chamfer=_chamfer(*distances),
        fscore=fscore_of(*distances, threshold),
        threshold=threshold,
        floor=sampling_floor(mesh.area, len(reference_points), count),
    )


def _chamfer(reference_to_predicted: NDArray[np.float64], predicted_to_reference: NDArray[np.float64]) -> float:
    return float(reference_to_predicted.mean() + predicted_to_reference.mean())


def fscore_of(
    reference_to_predicted: NDArray[np.float64], predicted_to_reference: NDArray[np.float64], threshold: float
) -> float:
    """`fscore` of distances that are already there."""
    recall = float((reference_to_predicted < threshold).mean())
    precision = float((predicted_to_reference < threshold).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
