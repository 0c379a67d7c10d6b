"""Positional embedding PE of 3D points (LaGeM Eq. 1; the form of the published weights).

One embedding serves the encoder's points, its anchors and the decoder's queries.
"""

import math

import torch
from torch import Tensor, nn

OCTAVES = 8  # published


class PointEmbedding(nn.Module):
    """Sines and cosines at frequencies pi * 2^k, k = 0, 1, ..., then a linear map to C channels.

    Args:
        width: C, channels of the result.
        octaves: Number of frequencies.
    """

    def __init__(self, *, width: int, octaves: int = OCTAVES) -> None:
        super().__init__()
        if octaves < 1 or width < 1:
            raise ValueError(
                "the point embedding needs at least 1 octave and a width of at least 1, but "
                f"{octaves} octaves and width {width} were asked for."
            )
        self.octaves = octaves
        self.linear = nn.Linear(3 * 2 * octaves + 3, width)

    def forward(self, points: Tensor) -> Tensor:
        """Embed (..., 3) points to (..., C) features."""
        # A product, not a matmul: autocast would round the phases to bfloat16 and lose all fine position.
        frequencies = math.pi * 2.0 ** torch.arange(self.octaves, device=points.device, dtype=points.dtype)
        phases = (points.unsqueeze(-1) * frequencies).flatten(-2)
        return self.linear(torch.cat([phases.sin(), phases.cos(), points], dim=-1))

    def weight_of_lowest(self, octaves: int) -> Tensor:
        """(C, 6 * octaves + 3) weights of the lowest octaves and of the coordinates themselves."""
        waves, coordinates = self.linear.weight.split([6 * self.octaves, 3], dim=1)
        lowest = waves.unflatten(1, (6, self.octaves))[:, :, :octaves].flatten(1)
        return torch.cat([lowest, coordinates], dim=1)
