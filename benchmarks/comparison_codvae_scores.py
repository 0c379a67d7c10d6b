"""Scores the fields of cod-vae with the measures, points and grid of the other models of the comparison."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.card import write_card
from lagem.evaluation.reconstruction.evaluation_set import EvaluationSet
from lagem.evaluation.reconstruction.methods import KL_LEVELS
from lagem.evaluation.reconstruction.run import score_all
from lagem.evaluation.reconstruction.score import ShapeScore, score_shape
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.reconstruction.truth import Truth
from lagem.geometry.frame import BOX_REACH
from lagem.geometry.surface import QueryLogits
from lagem.storage.checked.digest import sha256_of

SEED = 0  # the default seed of `lagem evaluate`


def field_in_sphere(logits_in_box: QueryLogits, factor: float) -> QueryLogits:
    """Return the field in the unit-sphere frame; all points beyond the box count as outside the shape.

    Args:
        logits_in_box: The field in the box frame, for points in [-1, 1]^3.
        factor: Scale from the unit-sphere frame to the box frame.
    """

    def query_logits(points: Tensor) -> Tensor:
        scaled = points * factor
        nearest = scaled.clamp(-1, 1)
        logits = logits_in_box(nearest)
        return torch.where((scaled == nearest).all(dim=-1), logits, -logits.abs())

    return query_logits


class CodvaeMethod:
    """cod-vae as a method of `lagem.evaluation`.

    Its input points, measures and grid are the same as for the other models of the comparison.

    Shapes are encoded and decoded in the box frame of the data that cod-vae trains on. The latents are the mean of the
    posterior.
    """

    def __init__(self, model: Any, weights: Path, *, num_surface_points: int, points: int, resolution: int) -> None:
        self._model, self._points, self._resolution = model, points, resolution
        self.num_surface_points = num_surface_points
        self.head = ReconstructionHead(
            weights=str(weights),
            weights_sha256=sha256_of(weights),
            surface_points_given=num_surface_points,
            kl_levels=KL_LEVELS["mean"],
            resolution=resolution,
        )

    def score(self, truth: Truth) -> ShapeScore:
        """Score the decoded field."""
        factor = BOX_REACH / float(np.abs(truth.reference_points).max())
        latents = self._model.encode(truth.surface_points * np.float32(factor))

        def logits_in_box(points: Tensor) -> Tensor:
            # cod-vae pads the last chunk; with chunks of this size, there is one, and nothing is padded
            return torch.from_numpy(self._model.decode(latents, points.numpy(), chunk_size=max(1, len(points))))

        return score_shape(
            truth,
            field_in_sphere(logits_in_box, factor),
            resolution=self._resolution,
            points=self._points,
            seed=SEED,
            device=torch.device("cpu"),
        )


def score(method: CodvaeMethod, data: Path, output: Path, points: int) -> None:
    """Score the validation shapes, and write the files that `lagem evaluate` writes; a killed evaluation resumes."""
    shapes = EvaluationSet(data, split="val", points=points, seed=SEED)
    head = method.head.joined(shapes.head, ReconstructionHead(points=points, seed=SEED))
    output.mkdir(parents=True, exist_ok=True)
    journal = output / ".scores.jsonl"
    scores, _ = score_all(method, shapes, journal, head)
    write_card(output, scores, summarise(scores, seed=SEED), head)
    journal.unlink()
