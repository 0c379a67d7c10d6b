"""Distributed training has the right settings, and every parameter gets a gradient in every step, as DDP needs."""

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

import small_cascade
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.noise import torch_generator
from lagem.diffusion.preconditioning import Denoiser
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.training.strategies import tune


def without_gradient(network: torch.nn.Module) -> list[str]:
    return [name for name, parameter in network.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("finest", [1, 3])
def test_level_dropout_leaves_no_parameter_without_a_gradient(finest):
    autoencoder = Autoencoder(levels=small_cascade.LEVELS, width=64)
    points, queries = torch.rand(2, 64, 3), torch.rand(2, 8, 3)
    logits = autoencoder(points, queries, finest=torch.tensor([finest, finest])).logits
    F.binary_cross_entropy_with_logits(logits, torch.ones(2, 8)).backward()
    assert without_gradient(autoencoder) == []


def test_vecset_leaves_no_parameter_without_a_gradient():
    autoencoder = Autoencoder(levels=[LevelSpec(16, 4, depth=1, bottleneck="kl")], width=64)
    generators = [torch_generator(0, 0, name) for name in "ab"]
    result = autoencoder(torch.rand(2, 64, 3), torch.rand(2, 8, 3), generators=generators)
    (result.logits.mean() + result.kl.mean()).backward()
    assert without_gradient(autoencoder) == []


@pytest.mark.parametrize(
    "changes",
    [{}, {"drop_condition": 0.0}, {"num_categories": None, "drop_condition": 0.0}, {"max_coarser_sigma": 0.5}],
    ids=str,
)
@pytest.mark.parametrize("level", [1, 3])
def test_a_stage_leaves_no_parameter_without_a_gradient(level, changes):
    if level == 3 and "max_coarser_sigma" in changes:
        changes = {}  # the coarsest stage has no coarser latents to put noise on
    spec = small_cascade.make_spec(level, small_cascade.make_autoencoder(), category_names=(), **changes)
    denoiser = Denoiser(spec.backbone())
    torch.nn.init.normal_(denoiser.backbone.to_latents.weight)  # zero at the start, which hides all before it
    latents = [torch.randn(2, number.num_latents, number.latent_dim) for number in small_cascade.LEVELS]
    loss = EDMLoss(p_mean=-1.2, p_std=1.2, drop_condition=spec.drop_condition, max_coarser_sigma=spec.max_coarser_sigma)
    condition = torch.tensor([0, 1]) if spec.is_conditional else None
    generators = [torch_generator(0, 0, name) for name in "ab"]
    coarser = latents[: level - 1 : -1]
    loss(denoiser, latents[level - 1], generators=generators, coarser=coarser, condition=condition).mean().backward()
    assert without_gradient(denoiser) == []


def test_ddp_keeps_gradients_once_unless_configured_otherwise():
    for given, expected in (({}, True), ({"gradient_as_bucket_view": False}, False)):
        strategy = DDPStrategy(**given)
        tune(strategy)
        assert strategy._ddp_kwargs == {"gradient_as_bucket_view": expected}


def test_a_sharded_run_saves_one_file():
    strategy = ModelParallelStrategy()
    tune(strategy)
    assert not strategy._save_distributed_checkpoint
