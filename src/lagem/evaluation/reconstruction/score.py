"""Compute all published measures of one reconstruction; `lagem.geometry.metrics` defines them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.evaluation.reconstruction.truth import LabelledQueries, Truth
from lagem.geometry.metrics import chamfer_of, fscore_of, iou, nearest_points, sampling_floor
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import EmptySurfaceError, ExtractionMethod, extract_surface
from lagem.randomness import sample_generator


@dataclass(frozen=True, kw_only=True)
class ShapeScore:
    """Scores of one shape; a measure that is not defined is None.

    chamfer: mean distance from the truth to the result plus mean distance from the result to the truth, not squared;
        None without a surface.
    fscore_010, fscore_020, fscore_050: F-scores at the thresholds 0.01, 0.02 and 0.05; 0 without a surface.
    normal_consistency: mean |cosine| between the normals of nearest points, averaged over both directions (Mescheder et
        al. 2019); 0 without a surface.
    iou, iou_near: IoU at uniform queries and at queries near the surface; None if the truth is an input mesh, or the
        result is not a field.
    floor: expected Chamfer distance between two samplings of the result's surface.
    reason: why the shape could not be read, or why its result has no surface; empty otherwise.
    nearest_train, nearest_train_distance: id and distance of the nearest training shape; None if unknown
        (`lagem.evaluation.neighbours`).
    """

    id: str
    category: str
    chamfer: float | None = None
    fscore_010: float = 0.0
    fscore_020: float = 0.0
    fscore_050: float = 0.0
    normal_consistency: float = 0.0
    iou: float | None = None
    iou_near: float | None = None
    floor: float | None = None
    reason: str = ""
    nearest_train: str | None = None
    nearest_train_distance: float | None = None


def score_shape(
    truth: Truth,
    query_logits: Callable[[Tensor], Tensor],
    *,
    resolution: int,
    points: int,
    seed: int,
    device: torch.device,
    method: ExtractionMethod = "coarse_to_fine",
    zero_is_inside: bool = False,
) -> ShapeScore:
    """Score a decoded field against the truth.

    Args:
        truth: The shape.
        query_logits: Maps (Q, 3) points to (Q,) logits, positive inside.
        resolution: Number of cells along a side of the grid (published: 128).
        points: Number of points drawn on the result's surface (published: 100,000).
        seed: Seed of the draw of these points. The draw is also keyed by the shape's id.
        device: Device of the field.
        method: How the surface is extracted.
        zero_is_inside: Whether the IoU counts a logit of exactly 0 as inside.
    """
    volume_iou, near_iou = (
        _iou(queries, query_logits, device, zero_is_inside) for queries in (truth.volume, truth.near)
    )
    try:
        mesh = extract_surface(
            query_logits, resolution=resolution, method=method, seeds=truth.surface_points, device=device
        )
    except EmptySurfaceError as error:
        return ShapeScore(id=truth.id, category=truth.category, iou=volume_iou, iou_near=near_iou, reason=str(error))
    predicted, normals = sample_surface(mesh, points, sample_generator(seed, 0, truth.id))
    floor = sampling_floor(mesh.area, len(truth.reference_points), points)
    return replace(score_points(truth, predicted, normals, floor=floor), iou=volume_iou, iou_near=near_iou)


def score_points(
    truth: Truth, predicted: NDArray[np.floating], normals: NDArray[np.floating], *, floor: float | None
) -> ShapeScore:
    """Score points of a result's surface against the truth. The score has no IoU, because that needs a field.

    Args:
        truth: The shape.
        predicted: (P, 3) points of the result, in the frame of the truth.
        normals: (P, 3) unit normals at these points.
        floor: Expected Chamfer distance between two samplings of the result's surface; None if it is unknown.
    """
    (to_result, nearest), (to_truth, nearest_reference) = nearest_points(truth.reference_points, predicted)
    cosines = [
        np.abs(np.einsum("nc,nc->n", truth.reference_normals, normals[nearest])).mean(),
        np.abs(np.einsum("nc,nc->n", normals, truth.reference_normals[nearest_reference])).mean(),
    ]
    return ShapeScore(
        id=truth.id,
        category=truth.category,
        chamfer=chamfer_of(to_result, to_truth),
        fscore_010=fscore_of(to_result, to_truth, 0.01),
        fscore_020=fscore_of(to_result, to_truth, 0.02),
        fscore_050=fscore_of(to_result, to_truth, 0.05),
        normal_consistency=float(np.mean(cosines)),
        floor=floor,
    )


@torch.no_grad()
def _iou(
    queries: LabelledQueries | None,
    query_logits: Callable[[Tensor], Tensor],
    device: torch.device,
    zero_is_inside: bool,
) -> float | None:
    if queries is None:
        return None
    logits = query_logits(torch.from_numpy(queries.points).to(device))
    predicted: NDArray[np.bool_] = (logits >= 0 if zero_is_inside else logits > 0).cpu().numpy()
    return iou(predicted, queries.occupancy, queries.weight)
