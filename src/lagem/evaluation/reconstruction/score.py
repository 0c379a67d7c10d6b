"""Every published measure of one reconstruction (definitions: `lagem.geometry.metrics`)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.evaluation.reconstruction.truth import Labelled, Truth
from lagem.geometry.metrics import fscore_of, iou, nearest_points, sampling_floor
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import EmptySurfaceError, extract_surface
from lagem.randomness import sample_generator


@dataclass(frozen=True, kw_only=True)
class ShapeScore:
    """Scores of one shape; None where a measure is not defined.

    chamfer: mean(truth to result) + mean(result to truth), distances not squared; None without a surface.
    fscore_010, fscore_020, fscore_050: at thresholds .01, .02, .05; 0 without a surface.
    normal_consistency: mean |cosine| of the normals of nearest points, averaged over both ways (Mescheder et al.
        2019); 0 without a surface.
    iou, iou_near: of occupancy at uniform and at near queries; None where the truth is an input mesh.
    floor: Chamfer that two samplings of one surface would have, by the area of the result.
    reason: why there is no surface; empty for most.
    nearest_train, nearest_train_distance: id of the nearest training shape and how far it is; None where that is not
        known (`lagem.evaluation.neighbours`).
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
) -> ShapeScore:
    """Score a decoded field against the truth.

    Args:
        truth: The shape.
        query_logits: (Q, 3) to (Q,) logits, inside where > 0.
        resolution: Cells along a side of the grid (the published one has 128).
        points: Drawn from the result's surface (published: 100,000).
        seed: Of that draw, keyed by the id.
        device: Where the field is asked.
    """
    volume_iou, near_iou = (_iou(labelled, query_logits, device) for labelled in (truth.volume, truth.near))
    try:
        mesh = extract_surface(query_logits, resolution=resolution, device=device)
    except EmptySurfaceError as error:
        return ShapeScore(id=truth.id, category=truth.category, iou=volume_iou, iou_near=near_iou, reason=str(error))
    predicted, normals = sample_surface(mesh, points, sample_generator(seed, 0, truth.id))
    floor = sampling_floor(mesh.area, len(truth.reference_points), points)
    return replace(score_points(truth, predicted, normals, floor=floor), iou=volume_iou, iou_near=near_iou)


def score_points(
    truth: Truth, predicted: NDArray[np.floating], normals: NDArray[np.floating], *, floor: float | None
) -> ShapeScore:
    """Score points of a resulting surface against the truth; there is no IoU without a field.

    Args:
        truth: The shape.
        predicted: (P, 3) points of the result, in the unit-sphere frame.
        normals: (P, 3) of unit length.
        floor: To stand beside the score.
    """
    (there, to), (back, from_) = nearest_points(truth.reference_points, predicted)
    alike = [
        np.abs(np.einsum("nc,nc->n", truth.reference_normals, normals[to])).mean(),
        np.abs(np.einsum("nc,nc->n", normals, truth.reference_normals[from_])).mean(),
    ]
    return ShapeScore(
        id=truth.id,
        category=truth.category,
        chamfer=float(there.mean() + back.mean()),
        fscore_010=fscore_of(there, back, 0.01),
        fscore_020=fscore_of(there, back, 0.02),
        fscore_050=fscore_of(there, back, 0.05),
        normal_consistency=float(np.mean(alike)),
        floor=floor,
    )


@torch.no_grad()
def _iou(labelled: Labelled | None, query_logits: Callable[[Tensor], Tensor], device: torch.device) -> float | None:
    if labelled is None:
        return None
    predicted: NDArray[np.bool_] = (query_logits(torch.from_numpy(labelled.points).to(device)) > 0).cpu().numpy()
    return iou(predicted, labelled.occupancy, labelled.weight)
