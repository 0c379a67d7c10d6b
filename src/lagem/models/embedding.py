"""Positional embedding PE of 3D points (LaGeM Eq. 1, in the form of the published weights), and its LayerNorm.

One embedding serves the encoder's points, its anchors and the decoder's queries.

An embedded point is W e(p). The vector e(p) holds the sines and cosines of the point p, its coordinates and a 1; the
matrix W holds the weight and bias. LayerNorm subtracts the mean over channels. The result is W~ e(p), where the matrix
W~ is W minus its mean over channels. LayerNorm then divides by one number per point, 1 / r(p). If the LayerNorm has
weight gamma and bias beta, its output is N psi(p). Here psi(p) = [r(p) e(p), 1] and N = [gamma * W~ | beta]. A linear
map of that output can therefore be multiplied by N in advance, once for all points.

Letters: B shapes, P points, C feature channels, E = 6 * octaves + 4, the length of e.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OCTAVES = 8  # as in the published weights


class PointEmbedding(nn.Module):
    """Embeds points in C channels by a linear map of their coordinates and of sines and cosines of the coordinates.

    The frequencies of the sines and cosines are pi * 2^k for k = 0, 1, ....

    Args:
        width: C, the number of channels of the result.
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
        """Return the (..., 6 * octaves + 3) input of the linear map: sines, cosines and coordinates of the points."""
        # A product, not a matmul: autocast would round the phases to bfloat16, and fine positions would be lost.
        frequencies = math.pi * 2.0 ** torch.arange(self.octaves, device=points.device, dtype=points.dtype)
        phases = (points.unsqueeze(-1) * frequencies).flatten(-2)
        return torch.cat([phases.sin(), phases.cos(), points], dim=-1)

    def weight_of_lowest(self, octaves: int) -> Tensor:
        """Return the (C, 6 * octaves + 3) weights of the `octaves` lowest octaves and of the coordinates."""
        waves, coordinates = self.linear.weight.split([6 * self.octaves, 3], dim=1)
        lowest = waves.unflatten(1, (6, self.octaves))[:, :, :octaves].flatten(1)
        return torch.cat([lowest, coordinates], dim=1)


class PointFeatures(NamedTuple):
    """Embedded points in a form on which LayerNorm acts as a linear map, as explained at the top of this file.

    psi: (B, P, E + 1), psi of each point.
    centred: (C, E), the matrix W~.
    """

    psi: Tensor
    centred: Tensor


def centred_weight(embedding: PointEmbedding, dtype: torch.dtype) -> Tensor:
    """Return W~, (C, E): the weight and bias of the embedding, minus their means over channels."""
    weight = torch.cat([embedding.linear.weight, embedding.linear.bias.unsqueeze(1)], dim=1).to(dtype)
    return weight - weight.mean(dim=0)


def point_features(embedding: PointEmbedding, points: Tensor, eps: float) -> PointFeatures:
    """Return the features of points, computed without autocast. Gradients reach the points and the weights.

    Args:
        embedding: The point embedding.
        points: (B, P, 3).
        eps: The eps of the LayerNorms that are applied to embedded points.
    """
    with torch.autocast(points.device.type, enabled=False):
        centred = centred_weight(embedding, points.dtype)
        waves = F.pad(embedding.waves(points), (0, 1), value=1.0)  # e
        variance = (waves @ (centred.T @ centred / len(centred)) * waves).sum(dim=-1, keepdim=True)
        psi = F.pad(waves * (variance.clamp(min=0) + eps).rsqrt(), (0, 1), value=1.0)
    return PointFeatures(psi, centred)


def normed_map(norm: nn.LayerNorm, directions: Tensor) -> Tensor:
    """Return [gamma * directions | beta], (C, E + 1), for (C, E) directions.

    With W~ as directions, this is the matrix N (see the top of this file).
    """
    gamma, beta = norm.weight.to(directions.dtype), norm.bias.to(directions.dtype)
    return torch.cat([gamma.unsqueeze(1) * directions, beta.unsqueeze(1)], dim=1)
