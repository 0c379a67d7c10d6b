"""Condition a network on a noise level by scaling and shifting its LayerNorms (DiT; LaGeM §3.3).

The form is that of the authors' VecSet diffusion: there are no gates, and the noise level is embedded by cosines and
sines with the frequencies 10000^(-k/128), k = 0..127.

Letters: B samples, M latent vectors, C feature channels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FREQUENCIES = 128


class NoiseEmbedding(nn.Module):
    """Embeds a number: computes 128 cosines and 128 sines of it, then applies two linear layers with SiLU after each.

    Args:
        width: C, the number of channels of the embedding.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(2 * FREQUENCIES, width)
        self.mix = nn.Linear(width, width)

    def forward(self, level: Tensor) -> Tensor:
        """Return the (B, C) embeddings of (B,) noise levels, which may be sigma or any function of it."""
        # A product, not a matmul, so that autocast does not round the phases.
        exponents = torch.arange(FREQUENCIES, device=level.device, dtype=level.dtype) / FREQUENCIES
        phases = level.unsqueeze(-1) * torch.exp(-math.log(10_000) * exponents)
        return F.silu(self.mix(F.silu(self.expand(torch.cat([phases.cos(), phases.sin()], dim=-1)))))


class AdaptiveLayerNorm(nn.Module):
    """LayerNorm whose scale and shift are computed from the noise embedding.

    Args:
        width: C, the number of channels of the features and of the embedding.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.to_scale_shift = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Normalise (B, M, C) features, then scale and shift them according to the (B, C) embedding."""
        scale, shift = self.to_scale_shift(embedding).unsqueeze(1).chunk(2, dim=-1)
        return self.norm(x) * (1 + scale) + shift


class AdaptiveResidual(nn.Module):
    """Computes x + layer(adaptive LayerNorm(x)), for a layer that has no LayerNorm.

    Args:
        layer: Maps (B, M, C) features, and a context if it takes one, to (B, M, C) features.
        width: C, the number of channels.
    """

    def __init__(self, layer: nn.Module, *, width: int) -> None:
        super().__init__()
        self.norm = AdaptiveLayerNorm(width=width)
        self.layer = layer

    def forward(self, x: Tensor, embedding: Tensor, *context: Tensor) -> Tensor:
        """Map (B, M, C) features to the same shape, conditioned on a (B, C) embedding."""
        return x + self.layer(self.norm(x, embedding), *context)
