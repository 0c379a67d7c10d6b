"""Positional embedding PE of 3D points (LaGeM Eq. 1; the form of the published weights), and LayerNorm of it.

One embedding serves the encoder's points, its anchors and the decoder's queries.

An embedded point is W e(p), where e(p) holds its sines, cosines, coordinates and a 1. LayerNorm subtracts the mean over
channels, which leaves W~ e(p), and divides by one number per point, 1 / r(p). So its output is N psi(p), with
psi(p) = [r(p) e(p), 1] and N = [gamma * W~ | beta]. Any linear map of it can therefore be multiplied by N in advance,
once for all points.

Letters: B shapes, P points, C feature channels, E = 6 * octaves + 4 length of e.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
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
                f"{octaves} octaves and width {width} were given."
            )
        self.octaves = octaves
        self.linear = nn.Linear(3 * 2 * octaves + 3, width)

    def forward(self, points: Tensor) -> Tensor:
        """Embed (..., 3) points to (..., C) features."""
        return self.linear(self.waves(points))

    def waves(self, points: Tensor) -> Tensor:
        """The input of the linear map: sines, cosines and coordinates of (..., 3) points, (..., 6 * octaves + 3)."""
        # A product, not a matmul: autocast would round the phases to bfloat16, and fine positions would be lost.
        frequencies = math.pi * 2.0 ** torch.arange(self.octaves, device=points.device, dtype=points.dtype)
        phases = (points.unsqueeze(-1) * frequencies).flatten(-2)
        return torch.cat([phases.sin(), phases.cos(), points], dim=-1)

    def weight_of_lowest(self, octaves: int) -> Tensor:
        """(C, 6 * octaves + 3) weights of the `octaves` lowest octaves and of the coordinates themselves."""
        waves, coordinates = self.linear.weight.split([6 * self.octaves, 3], dim=1)
        lowest = waves.unflatten(1, (6, self.octaves))[:, :, :octaves].flatten(1)
        return torch.cat([lowest, coordinates], dim=1)


class PointFeatures(NamedTuple):
    """What LayerNorm of embedded points is linear in: psi, (B, P, E + 1), and W~, (C, E)."""

    psi: Tensor
    centred: Tensor


def centred_weight(embedding: PointEmbedding, dtype: torch.dtype) -> Tensor:
    """W~, (C, E): weight and bias of the embedding without their means over channels."""
    weight = torch.cat([embedding.linear.weight, embedding.linear.bias.unsqueeze(1)], dim=1).to(dtype)
    return weight - weight.mean(dim=0)


def point_features(embedding: PointEmbedding, points: Tensor, eps: float) -> PointFeatures:
    """Features of (B, P, 3) points, differentiable in points and weights; in float32 under autocast.

    Args:
        embedding: The point embedding.
        points: (B, P, 3).
        eps: The eps of the LayerNorms that follow.
    """
    with torch.autocast(points.device.type, enabled=False):
        centred = centred_weight(embedding, points.dtype)
        waves = F.pad(embedding.waves(points), (0, 1), value=1.0)  # e
        variance = (waves @ (centred.T @ centred / len(centred)) * waves).sum(dim=-1, keepdim=True)
        psi = F.pad(waves * (variance.clamp(min=0) + eps).rsqrt(), (0, 1), value=1.0)
    return PointFeatures(psi, centred)


def normed_map(norm: nn.LayerNorm, directions: Tensor) -> Tensor:
    """[gamma * directions | beta], (C, E + 1): N if the directions are W~, (C, E)."""
    gamma, beta = norm.weight.to(directions.dtype), norm.bias.to(directions.dtype)
    return torch.cat([gamma.unsqueeze(1) * directions, beta.unsqueeze(1)], dim=1)
