"""Positional embedding PE of 3D points (LaGeM Eq. 1; the form of the published weights).

One embedding serves the encoder's points, its anchors and the decoder's queries.
"""

import math

import torch
from torch import Tensor, nn

OCTAVES = 8


class PointEmbedding(nn.Module):
    """Sines and cosines at frequencies pi * 2^k, k = 0..7, then a linear map to C channels.

    Args:
        width: C, channels of the result.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 2 * OCTAVES + 3, width)

    def forward(self, points: Tensor) -> Tensor:
        """Embed (..., 3) points to (..., C) features."""
        # A product, not a matmul: autocast would round the phases to bfloat16 and lose all fine position.
        frequencies = math.pi * 2.0 ** torch.arange(OCTAVES, device=points.device, dtype=points.dtype)
        phases = (points.unsqueeze(-1) * frequencies).flatten(-2)
        return self.linear(torch.cat([phases.sin(), phases.cos(), points], dim=-1))
