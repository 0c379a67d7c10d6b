"""The measures that `recipe.py` computes for a trained autoencoder on every validation shape, and their table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recipe_samples import RecipeData
from torch.nn.functional import binary_cross_entropy_with_logits

from lagem.evaluation.reconstruction.score import score_shape
from lagem.evaluation.reconstruction.trainings import mean_of_known
from lagem.evaluation.reconstruction.truth import UnreadableShape, truths_of_prepared
from lagem.geometry.metrics import iou
from lagem.modules.autoencoder import AutoencoderModule
from lagem.studies.levels import Variant

RESOLUTION = 64  # cells along a side of the grid
POINTS = 20_000  # number of points on each reconstructed surface
ANSWERS = {
    "near_loss": "near loss",
    "near_accuracy": "near accuracy",
    "volume_loss": "volume loss",
    "iou_balanced": "balanced IoU",
    "noise_1": "IoU lost to noise in level 1",
    "noise_2": "in level 2",
    "noise_3": "in level 3",
}
TWICE = "fscore_020_twice"
RECONSTRUCTION = {
    "fscore_020": "F@0.02",
    "chamfer": "Chamfer",
    "iou": "IoU",
    "iou_near": "IoU near",
    TWICE: "F@0.02 with twice the latents",
}

Row = dict[str, Any]  # measures of one shape; None or absent if undefined


@torch.no_grad()
def answers_of(module: AutoencoderModule, source: RecipeData) -> list[Row]:
    """Return the ANSWERS measures of every validation shape, computed from the network's answers to its queries.

    The network also answers the queries once for each level with that level's latents replaced by noise.
    """
    rows = []
    for index in range(len(source.val_shapes)):
        sample = source.val_shapes[0, index]
        points = torch.cat([sample.volume_points, sample.near_points]).unsqueeze(0)
        inside = torch.cat([sample.volume_occupancy, sample.near_occupancy])
        latents = module.autoencoder.encode(sample.surface_points.unsqueeze(0))
        logits = module.autoencoder.decode(latents)(points).squeeze(0)
        count, occupied = len(sample.volume_points), sample.volume_occupancy.numpy() > 0.5
        losses = binary_cross_entropy_with_logits(logits, inside, reduction="none")
        right = (logits > 0) == (inside > 0.5)
        row = {
            "near_loss": float(losses[count:].mean()),
            "near_accuracy": float(right[count:].float().mean()),
            "volume_loss": float(losses[:count].mean()),
            "iou_balanced": iou(logits[:count].numpy() > 0, occupied),
        }
        for level in range(1, module.num_levels + 1):
            disturbed = module.autoencoder.decode(Variant(noise=level).change(latents, sample.id, seed=0))
            answered = disturbed(points[:, :count]).squeeze(0)
            row[f"noise_{level}"] = row["iou_balanced"] - iou(answered.numpy() > 0, occupied)
        rows.append(row)
    return rows


@torch.no_grad()
def scores_of(module: AutoencoderModule, source: RecipeData) -> list[Row]:
    """Return the RECONSTRUCTION measures of every validation shape.

    Each shape is also reconstructed with twice the latents.
    """
    rows = []
    device, levels = torch.device("cpu"), module.autoencoder.levels
    twice = [replace(level, num_latents=2 * level.num_latents) for level in levels]
    truths = truths_of_prepared(Path(source.root), split="val", num_surface_points=source.counts[0], seed=0)
    for index, truth in enumerate(truths):
        if isinstance(truth, UnreadableShape):
            raise ValueError(f"{truth.id}: {truth.reason}")
        points = torch.from_numpy(truth.surface_points)
        if source.change == "sharp points":
            points = source.val_shapes[0, index].surface_points
        field = module.reconstruct(points.unsqueeze(0)).select(0)
        score = score_shape(truth, field, resolution=RESOLUTION, points=POINTS, seed=0, device=device)
        row = {name: getattr(score, name) for name in RECONSTRUCTION if name != TWICE}
        module.autoencoder.levels = twice
        field = module.reconstruct(points.unsqueeze(0)).select(0)
        module.autoencoder.levels = levels
        surface_alone = replace(truth, volume=None, near=None)
        score = score_shape(surface_alone, field, resolution=RESOLUTION, points=POINTS, seed=0, device=device)
        rows.append(row | {TWICE: score.fscore_020})
    return rows


def table(results: dict[str, dict[int, list[Row]]], against: str, measures: dict[str, str]) -> list[list[str]]:
    """Return the rows of the table, header first; its last column lists the differences of one measure seed by seed.

    Args:
        results: Measures of every shape, by side and by seed.
        against: Name of the side whose means are subtracted.
        measures: Title of each measure to show, by name. The last column is about the first of them.
    """
    titles = [cell for title in measures.values() for cell in (title, "difference")]
    rows = [["", "seeds", *titles, "first difference by seed"]]
    for side, by_seed in results.items():
        cells = [side, str(len(by_seed))]
        for name in measures:
            own, base = _values(by_seed, name), _values(results[against], name)
            mean = mean_of_known(own - base, 0)
            cells.append("–" if np.isnan(own).all() else f"{np.nanmean(own):.4f}")
            if side == against or mean is None:
                cells.append("–")
            else:
                cells.append(f"{mean.value:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]")
        first = next(iter(measures))
        by_seed_alone = np.nanmean(_values(by_seed, first) - _values(results[against], first), axis=1)
        rows.append([*cells, " ".join(f"{value:+.4f}" for value in by_seed_alone)])
    return rows


def _values(by_seed: dict[int, list[Row]], name: str) -> NDArray[np.float64]:
    """Return one measure as an array of shape (seeds, shapes); NaN for a shape for which it is undefined."""
    return np.array([[row.get(name) for row in rows] for rows in by_seed.values()], dtype=np.float64)
