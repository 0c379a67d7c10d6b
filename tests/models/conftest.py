"""Fixtures for the tests of the networks: a small autoencoder and its inputs."""

import pytest
import torch

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder

LEVELS = (
    LevelSpec(num_latents=32, latent_dim=4, depth=1),
    LevelSpec(num_latents=12, latent_dim=6, depth=2),
    LevelSpec(num_latents=5, latent_dim=8, depth=1),
)


@pytest.fixture
def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(levels=LEVELS, width=64).eval()


@pytest.fixture
def cloud() -> torch.Tensor:
    return torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(1)) * 0.4


@pytest.fixture
def query_points() -> torch.Tensor:
    return torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1
