"""A cascade learns a small distribution in which the category sets the coarse mode, which sets the fine mode."""

import torch
from torch import Tensor

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.noise import torch_generator
from lagem.diffusion.preconditioning import Denoiser
from lagem.levels import LevelSpec
from lagem.models.denoiser import Backbone

LEVELS = (LevelSpec(4, 4), LevelSpec(2, 4))
MODE = torch.tensor([1.0, -1.0, 1.0, -1.0])  # a latent vector of unit variance; the other mode is its negative
SPREAD = 0.15


def draw(signs: Tensor, num_latents: int) -> Tensor:
    """Return random (B, M, 4) vectors near the mode `sign * MODE` of each sample."""
    return signs[:, None, None] * MODE + SPREAD * torch.randn(len(signs), num_latents, 4)


def modes(latents: Tensor) -> Tensor:
    """Return (B, M): the component of each vector along MODE, divided by the length of MODE."""
    return latents @ MODE / 4


def train(level: int, *, steps: int = 300, **choices: object) -> Denoiser:
    denoiser = Denoiser(Backbone(levels=LEVELS, level=level, width=64, depth=1, **choices))
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=2e-3)
    loss = EDMLoss(drop_condition=0.2 if level == 2 else 0.0)
    for step in range(steps):
        categories = torch.randint(2, (64,))
        coarse, fine = (draw(1.0 - 2 * categories, LEVELS[i].num_latents) for i in (1, 0))
        given = {"condition": categories} if level == 2 else {"coarser": [coarse]}
        generators = [torch_generator(0, step, str(sample)) for sample in range(64)]
        losses = loss(denoiser, coarse if level == 2 else fine, generators=generators, **given)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    return denoiser.eval()


def test_samples_follow_the_category_and_the_coarser_level():
    coarse_stage, fine_stage = Stage(train(2, num_categories=2)), Stage(train(1))
    categories = torch.arange(64) % 2
    signs = (1.0 - 2 * categories).unsqueeze(1)
    (free,) = Cascade([coarse_stage]).sample(range(64), given={1: torch.zeros(64, 4, 4)})[1:]
    (_, coarse) = Cascade([coarse_stage]).sample(range(64), condition=categories, given={1: torch.zeros(64, 4, 4)})
    (fine, _) = Cascade([fine_stage]).sample(range(64), given={2: coarse})

    assert 0.1 < (modes(free) > 0).float().mean() < 0.9  # without a category: both modes
    assert (modes(free)[:, 0] * modes(free)[:, 1] > 0).float().mean() > 0.9  # and vectors of a set agree
    for latents in (coarse, fine):
        towards = modes(latents) * signs
        assert (towards > 0.5).float().mean() > 0.95
        assert abs(towards.mean() - 1) < 0.1
        assert 0.5 * SPREAD < (latents - signs[:, None] * MODE).std() < 2 * SPREAD
