"""Fixtures for tests of diffusion: latents, and for each level a small denoiser with an output that is not zero."""

import pytest
import torch
from torch import Tensor, nn

from lagem.diffusion.preconditioning import Denoiser
from lagem.levels import LevelSpec
from lagem.models.denoiser import Backbone

LEVELS = (
    LevelSpec(num_latents=16, latent_dim=4, depth=0),
    LevelSpec(num_latents=8, latent_dim=6, depth=0),
    LevelSpec(num_latents=4, latent_dim=8, depth=0),
)
NUM_CATEGORIES = 3


def make_denoiser(level: int, *, conditioning_augmentation: bool = False, started: bool = True) -> Denoiser:
    """Return the denoiser of a level, conditional on a category; `started` makes its output differ from zero."""
    torch.manual_seed(level)
    backbone = Backbone(
        levels=LEVELS,
        level=level,
        width=64,
        depth=1,
        num_categories=NUM_CATEGORIES,
        conditioning_augmentation=conditioning_augmentation,
    )
    if started:
        nn.init.normal_(backbone.to_latents.weight, std=0.1)
    return Denoiser(backbone).eval()


def generators(count: int, start: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(start + index) for index in range(count)]


@pytest.fixture
def latents() -> list[Tensor]:
    """Return standard Gaussian latents of two samples, for all levels, fine to coarse."""
    random = torch.Generator().manual_seed(5)
    return [torch.randn(2, spec.num_latents, spec.latent_dim, generator=random) for spec in LEVELS]
