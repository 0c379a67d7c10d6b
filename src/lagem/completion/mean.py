"""The mean of several samples of one shape: a point is inside it if the samples' mean probability says so.

Samples that fit the same part agree about the shape, but each has small errors of its own. In the mean, these errors
cancel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lagem.geometry.frame import QUERY_BALL_RADIUS, Frame
from lagem.geometry.surface import QueryLogits, Surface, surface_or_none

REACH = 1.05  # half side of the grid of the mean, multiplied by the radius of the first shape
LARGEST = 1 - 1e-6  # limit of the mean probability, so that its logit is finite


def mean_surface(
    shapes: Sequence[tuple[QueryLogits, Frame]], *, resolution: int, device: torch.device | str | None = None
) -> tuple[Surface | None, Frame]:
    """Extract the surface of the mean of shapes.

    Args:
        shapes: As in `mean_field`. The grid is centred on the first shape, and a little larger than this shape.
        resolution: Number of cells along a side of the grid.
        device: Device of the fields; None for the CPU.

    Returns:
        The surface, or None if nothing is inside; and the frame that maps the common coordinates to those of the
        surface.
    """
    first = shapes[0][1]
    frame = Frame(center=first.center, scale=first.scale / REACH)
    return surface_or_none(mean_field(shapes, frame), resolution=resolution, device=device), frame


def mean_field(shapes: Sequence[tuple[QueryLogits, Frame]], frame: Frame) -> QueryLogits:
    """Return the field of the mean occupancy probability of shapes.

    Args:
        shapes: For each shape, a field of logits in its own unit sphere, and the frame that maps common coordinates to
            this unit sphere. Nothing is inside beyond the ball in which fields are trained.
        frame: Maps the common coordinates to those in which the mean is queried.

    Returns:
        A function from (Q, 3) points to the (Q,) logits of the mean probabilities.
    """
    maps = [
        (field, own.scale / frame.scale, torch.from_numpy((frame.center - own.center) * own.scale).float())
        for field, own in shapes
    ]

    def logits(points: Tensor) -> Tensor:
        total = torch.zeros(len(points), device=points.device)
        for field, scale, shift in maps:
            there = points * scale + shift.to(points.device)
            total += field(there).float().sigmoid() * (there.norm(dim=1) <= QUERY_BALL_RADIUS)
        return (total / len(maps)).clamp(1 - LARGEST, LARGEST).logit()

    return logits
