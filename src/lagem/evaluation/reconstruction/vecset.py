"""The preset `vecset`: reconstructions are scored as `eval.py` of 1zb/3DShape2VecSet scores them.

The script encodes 2,048 of the stored surface points, drawn without replacement (LaGeM's large model was trained with
8,192: give `--surface-points 8192` for it). It decodes a grid of 129 nodes a side over [-1, 1]^3, and compares 100,000
points of the decoded surface with all stored points. It works in the box frame of its data: the shape is centred in a
box and scaled so that the largest absolute coordinate of its surface is 0.99. Our networks and our data are in the unit
sphere; here, queries and results are scaled from one frame to the other. If a result reaches beyond the grid, its
surface is closed at the border of the grid; the script leaves it open.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lagem.evaluation.reconstruction.score import ShapeScore, score_shape
from lagem.evaluation.reconstruction.truth import LabelledQueries, Truth
from lagem.geometry.frame import BOX_REACH
from lagem.randomness import sample_generator

INPUT_POINTS, POINTS, RESOLUTION = 2_048, 100_000, 128
DEFINITION = """\
Preset vecset: box frame of 3DShape2VecSet, in which the largest coordinate of the surface is 0.99; thresholds are in
this frame. The input points are drawn from the true surface points without replacement; KL levels decode a sample.
Dense grid. IoU over the volume queries in [-1, 1]³; a logit of 0 counts as inside. The paper's Table 4 prints means
over categories, ×100."""


def check_settings(points: int, resolution: int) -> None:
    """Raise ValueError if the number of points or the resolution is not the one that `eval.py` uses."""
    for option, given, published in (("--points", points, POINTS), ("--resolution", resolution, RESOLUTION)):
        if given != published:
            raise ValueError(
                f"--preset vecset sets {option} to {published}, but {given} was given; leave {option} out."
            )


def with_drawn_input(truth: Truth, num_surface_points: int, seed: int) -> Truth:
    """Return the shape with N of its reference points, drawn without replacement, as the network's input.

    Args:
        truth: The shape.
        num_surface_points: N, the number of input points.
        seed: Seed of the draw. The draw is also keyed by the shape's id.

    Raises:
        ValueError: If the shape has fewer than N reference points.
    """
    count = len(truth.reference_points)
    if count < num_surface_points:
        raise ValueError(
            f"{truth.id}: has {count} surface points, but --preset vecset encodes {num_surface_points}; "
            "prepare the shapes with more surface points, or leave the preset out."
        )
    drawn = sample_generator(seed, 0, f"input:{truth.id}").choice(count, num_surface_points, replace=False)
    return replace(truth, surface_points=truth.reference_points[drawn])


def score_as_vecset(
    truth: Truth, query_logits: Callable[[Tensor], Tensor], *, seed: int, device: torch.device
) -> ShapeScore:
    """Score a decoded field against the truth in the box frame.

    Args:
        truth: The shape, in the unit sphere.
        query_logits: Maps (Q, 3) points in the unit-sphere frame to (Q,) logits, positive inside.
        seed: Seed of the draw of points on the extracted surface. The draw is also keyed by the shape's id.
        device: Device of the field.
    """
    factor = BOX_REACH / float(np.abs(truth.reference_points).max())
    in_box = replace(
        truth,
        surface_points=truth.surface_points * np.float32(factor),
        reference_points=truth.reference_points * np.float32(factor),
        volume=truth.volume and _scaled(truth.volume, factor, limit=1.0),
        near=truth.near and _scaled(truth.near, factor, limit=np.inf),
    )
    return score_shape(
        in_box,
        lambda points: query_logits(points / factor),
        resolution=RESOLUTION,
        points=POINTS,
        seed=seed,
        device=device,
        method="dense",
        zero_is_inside=True,
    )


def _scaled(queries: LabelledQueries, factor: float, *, limit: float) -> LabelledQueries:
    points = queries.points * np.float32(factor)
    kept = (np.abs(points) <= limit).all(axis=1)
    return LabelledQueries(points=points[kept], occupancy=queries.occupancy[kept], weight=queries.weight[kept])
