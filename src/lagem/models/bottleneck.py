"""Bottleneck between features and latents (LaGeM §3.2, Eq. 6-7, Table 2).

Standardised latents have the zero mean and unit variance that diffusion assumes, so they need
no additional loss. VecSet's Gaussian bottleneck, in contrast, adds a KL term to the loss.

Letters: B shapes, M latents of this level, C feature channels, D latent channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagem.levels import LevelSpec


def standardise(latents: Tensor) -> Tensor:
    """Shift and scale each vector of (..., D) latents to zero mean and unit variance (Eq. 6, appendix C)."""
    width = int(latents.shape[-1])  # a constant, also in a traced graph
    return F.layer_norm(latents, [width], eps=1e-6)


class StandardisedBottleneck(nn.Module):
    """The bottleneck with standardised latents: features to latents (FtoL, Eq. 6), and back (LtoF, Eq. 7)."""

    def __init__(self, *, width: int, latent_dim: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, latent_dim)
        self.gamma = nn.Parameter(torch.ones(latent_dim))
        self.beta = nn.Parameter(torch.zeros(latent_dim))
        self.up = nn.Linear(latent_dim, width)

    def to_latents(
        self, features: Tensor, generators: Sequence[torch.Generator] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Project features to standardised latents (Eq. 6).

        Args:
            features: (B, M, C) features X_i.
            generators: Unused, because this bottleneck samples nothing.

        Returns:
            (B, M, D) latents Z_i, which have zero mean and unit variance over the last axis; and None, because there is
            no KL term.
        """
        return standardise(self.down(features)), None

    @property
    def encoder_layers(self) -> list[nn.Module]:
        """The layers of `to_latents`."""
        return [self.down]

    def to_features(self, latents: Tensor) -> Tensor:
        """Map (B, M, D) latents back to (B, M, C) features X'_i (Eq. 7)."""
        return self.up(latents * self.gamma + self.beta)


class KLBottleneck(nn.Module):
    """The variational bottleneck of VecSet (Eq. 2-3, Table 2 'VAE')."""

    def __init__(self, *, width: int, latent_dim: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, latent_dim)
        self.log_variance = nn.Linear(width, latent_dim)
        self.up = nn.Linear(latent_dim, width)

    def to_latents(
        self, features: Tensor, generators: Sequence[torch.Generator] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the mean of the posterior, or a sample from it.

        Args:
            features: (B, M, C) features X_i.
            generators: A CPU generator for each shape, with which the posterior is sampled; None uses the mean.

        Returns:
            (B, M, D) latents, and (B,) KL divergences to N(0, 1), averaged over M and D.
        """
        dtype = torch.promote_types(features.dtype, torch.float32)  # not in the lower precision of autocast
        mean = self.mean(features).to(dtype)
        log_variance = self.log_variance(features).to(dtype).clamp(-30.0, 20.0)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=(1, 2))
        if generators is None:
            return mean, kl
        noise = torch.stack([torch.randn(mean.shape[1:], generator=generator) for generator in generators])
        return mean + (0.5 * log_variance).exp() * noise.to(mean), kl

    @property
    def encoder_layers(self) -> list[nn.Module]:
        """The layers of `to_latents`."""
        return [self.mean, self.log_variance]

    def to_features(self, latents: Tensor) -> Tensor:
        """Map (B, M, D) latents back to (B, M, C) features (Eq. 3)."""
        return self.up(latents)


def make_bottleneck(level: LevelSpec, *, width: int) -> StandardisedBottleneck | KLBottleneck:
    """Make the bottleneck that a level's spec names."""
    if level.bottleneck == "kl":
        return KLBottleneck(width=width, latent_dim=level.latent_dim)
    return StandardisedBottleneck(width=width, latent_dim=level.latent_dim)
