"""Diffusion works with any network that has the signature of `StageNetwork`."""

import torch
from torch import Tensor, nn

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.preconditioning import Denoiser
from lagem.diffusion.sampler import HeunSampler
from lagem.levels import LevelSpec

from .conftest import LEVELS, generators, make_denoiser


class Scale(nn.Module):
    """A network that multiplies its input by one learned number."""

    def __init__(self, level: int, levels: tuple[LevelSpec, ...] = LEVELS) -> None:
        super().__init__()
        self.level, self.levels = level, levels
        self.factor = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, c_noise: Tensor, *, coarser, condition, drop, coarser_sigma) -> Tensor:
        return self.factor * x

    def check_latents(self, latents: Tensor, level: int) -> None:
        assert latents.shape[1:] == (self.levels[level - 1].num_latents, self.levels[level - 1].latent_dim)


def test_a_network_of_another_library_is_sampled_with_ours():
    stages = [Stage(Denoiser(Scale(1)), HeunSampler(num_steps=2))]
    stages += [Stage(make_denoiser(level), HeunSampler(num_steps=2)) for level in (2, 3)]
    sampled = Cascade(stages).sample([1, 2])
    assert [tuple(latents.shape) for latents in sampled] == [(2, 16, 4), (2, 8, 6), (2, 4, 8)]


def test_a_network_of_another_library_learns_from_the_loss(latents):
    denoiser = Denoiser(Scale(3))
    EDMLoss()(denoiser, latents[2], generators=generators(2)).mean().backward()
    assert denoiser.backbone.factor.grad != 0
