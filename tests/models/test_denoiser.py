"""The backbone of the denoiser computes the equations of the paper."""

import pytest
import torch
from torch import nn

from lagem.levels import LevelSpec
from lagem.models.denoiser import Backbone

from .conftest import LEVELS

COARSEST_FIRST = (2, 1, 0)


def trained(**choices: object) -> Backbone:
    """Return a small backbone whose output is not zero, as after training."""
    torch.manual_seed(0)
    backbone = Backbone(levels=LEVELS, **{"level": 1, "width": 64, "depth": 2, **choices}).eval()
    nn.init.normal_(backbone.to_latents.weight, std=0.3)
    return backbone


def inputs(level: int = 1, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return random latents of a level, noise levels, and latents of all coarser levels, coarsest first."""
    random = torch.Generator().manual_seed(1)
    sets = [torch.randn(batch, spec.num_latents, spec.latent_dim, generator=random) for spec in LEVELS]
    return sets[level - 1], torch.linspace(-1, 1, batch), [sets[i] for i in COARSEST_FIRST if i >= level]


def shuffled(latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(latents.shape[1], generator=torch.Generator().manual_seed(2))
    return latents[:, order], order


@pytest.mark.parametrize("level", [1, 2, 3])
def test_output_has_the_size_of_its_level_and_starts_at_zero(level):
    x, c_noise, coarser = inputs(level)
    backbone = Backbone(levels=LEVELS, level=level, width=64, depth=1)
    assert torch.equal(backbone(x, c_noise, coarser=coarser), torch.zeros_like(x))


def test_permuting_the_latents_of_a_set_permutes_only_the_output():
    backbone, (x, c_noise, coarser) = trained(), inputs()
    permuted, order = shuffled(x)
    expected = backbone(x, c_noise, coarser=coarser)[:, order]
    torch.testing.assert_close(backbone(permuted, c_noise, coarser=coarser), expected, atol=1e-5, rtol=1e-4)


def test_permuting_a_coarser_set_changes_nothing():
    backbone, (x, c_noise, coarser) = trained(), inputs()
    permuted = [shuffled(latents)[0] for latents in coarser]
    expected = backbone(x, c_noise, coarser=coarser)
    torch.testing.assert_close(backbone(x, c_noise, coarser=permuted), expected, atol=1e-5, rtol=1e-4)


def test_every_input_reaches_the_output():
    backbone = trained(num_categories=5, conditioning_augmentation=True)
    x, c_noise, coarser = inputs()
    given = {"coarser": coarser, "condition": torch.tensor([0, 1, 2]), "coarser_sigma": torch.full((3,), 0.1)}
    output = backbone(x, c_noise, **given)
    changes = [
        {"condition": torch.tensor([3, 3, 3])},
        {"coarser_sigma": torch.full((3,), 0.5)},
        {"coarser": [coarser[0] + 1, coarser[1]]},
        {"coarser": [coarser[0], coarser[1] + 1]},
    ]
    others = [backbone(x, c_noise, **{**given, **change}) for change in changes]
    for other in [*others, backbone(x, c_noise + 0.3, **given), backbone(x + 0.3, c_noise, **given)]:
        assert ((other - output).abs().amax(dim=(1, 2)) > 1e-4).all()


def test_coarser_levels_are_attended_to_coarsest_first():
    """The expected result is Eq. 12, written out: CA(CA(Z_1, Z_3), Z_2), with adaptive LayerNorms and no blocks."""
    backbone, (x, c_noise, (z3, z2)) = trained(depth=0), inputs()
    embedding = backbone.embed_noise(c_noise)
    expected = backbone.to_features(x)
    for index, latents in enumerate((z3, z2)):
        scale, shift = backbone.resample[index].norm.to_scale_shift(embedding).split(64, dim=-1)
        mean, variance = expected.mean(-1, keepdim=True), expected.var(-1, keepdim=True, correction=0)
        normed = (expected - mean) / (variance + 1e-5).sqrt() * (1 + scale[:, None]) + shift[:, None]
        attention, context = backbone.resample[index].layer, backbone.coarser_to_features[index](latents)
        keys, values = attention.to_kv(context).split(64, dim=-1)
        weights = (attention.to_q(normed) @ keys.transpose(1, 2) / 8).softmax(dim=-1)
        expected = expected + attention.to_out(weights @ values)
    expected = backbone.to_latents(backbone.norm(expected))
    torch.testing.assert_close(backbone(x, c_noise, coarser=[z3, z2]), expected, atol=1e-5, rtol=1e-4)


def test_parameters_are_those_of_the_written_out_shapenet_stage():
    """The stage has 12 blocks of width 768 and 55 categories; it generates level 1, whose latents have 8 channels."""
    levels = [LevelSpec(512, 8), LevelSpec(128, 16), LevelSpec(32, 32)]
    width = 768
    with torch.device("meta"):
        backbone = Backbone(levels=levels, level=1, width=width, depth=12, num_categories=55)
    adaptive_norm = (width + 1) * 2 * width
    attention = 4 * width**2 + width
    feed_forward = (width + 1) * 8 * width + (4 * width + 1) * width
    noise = (256 + 1) * width + (width + 1) * width
    condition = 55 * width + width  # and the null token
    coarser = sum((dim + 1) * width + adaptive_norm + attention for dim in (16, 32))
    block = 3 * adaptive_norm + 2 * attention + feed_forward
    ends = (8 + 1) * width + 2 * width + (width + 1) * 8
    expected = noise + condition + coarser + 12 * block + ends
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected == 192_148_232


def test_a_dropped_condition_is_the_null_token():
    backbone, (x, c_noise, coarser) = trained(num_categories=5), inputs()
    drop = torch.tensor([True, False, True])
    some = backbone(x, c_noise, coarser=coarser, condition=torch.tensor([0, 1, 2]), drop=drop)
    none = backbone(x, c_noise, coarser=coarser)
    kept = backbone(x, c_noise, coarser=coarser, condition=torch.tensor([0, 1, 2]))
    torch.testing.assert_close(some, torch.where(drop[:, None, None], none, kept))
    assert not torch.allclose(none, kept)


@pytest.mark.parametrize("shape", [(3, 10), (3, 7, 10)])
def test_vectors_and_tokens_are_conditions_and_can_be_dropped(shape):
    backbone, (x, c_noise, coarser) = trained(condition_dim=10), inputs()
    condition = torch.randn(shape)
    kept = backbone(x, c_noise, coarser=coarser, condition=condition)
    dropped = backbone(x, c_noise, coarser=coarser, condition=condition, drop=torch.ones(3, dtype=torch.bool))
    assert not torch.allclose(kept, dropped)
    torch.testing.assert_close(dropped, backbone(x, c_noise, coarser=coarser), atol=1e-5, rtol=1e-4)


def test_every_parameter_gets_a_gradient():
    """DDP stops a training if a parameter has no gradient, so each must get one even if no condition is dropped."""
    backbone, (x, c_noise, coarser) = trained(num_categories=5, conditioning_augmentation=True), inputs()
    backbone(x, c_noise, coarser=coarser, condition=torch.tensor([0, 1, 2])).square().mean().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_latents_of_another_level_are_refused():
    x, c_noise, coarser = inputs(2)
    backbone = Backbone(levels=LEVELS, level=2, width=64, depth=1)
    with pytest.raises(ValueError, match=r"stage 2: the latents of level 2 must be \(B, 12, 6\), but \(3, 32, 4\)"):
        backbone(inputs(1)[0], c_noise, coarser=coarser)
    with pytest.raises(ValueError, match=r"the latents of level 3 must be \(B, 5, 8\), but \(3, 12, 6\)"):
        backbone(x, c_noise, coarser=[x])
    with pytest.raises(ValueError, match=r"needs the latents of levels \[3\], coarsest first, but 0"):
        backbone(x, c_noise)


@pytest.mark.parametrize(
    ("choices", "given", "message"),
    [
        ({}, {"condition": torch.tensor([0, 1, 2])}, "stage 1 is unconditional"),
        ({"num_categories": 5}, {"condition": torch.randn(3, 10)}, "the condition must be a category"),
        ({"condition_dim": 10}, {"condition": torch.randn(3, 9)}, r"\(B, 10\) or \(B, T, 10\), but \(3, 9\)"),
        ({}, {"coarser_sigma": torch.ones(3)}, "made without conditioning_augmentation"),
    ],
)
def test_what_a_backbone_was_not_made_for_is_refused(choices, given, message):
    x, c_noise, coarser = inputs()
    with pytest.raises(ValueError, match=message):
        trained(**choices)(x, c_noise, coarser=coarser, **given)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"level": 4}, r"level must be one of 1 \(finest\) to 3, but 4"),
        ({"level": 3, "conditioning_augmentation": True}, "level 3 is the coarsest"),
        ({"num_categories": 5, "condition_dim": 10}, "num_categories 5 and condition_dim 10"),
        ({"width": 100}, "multiple of 64"),
    ],
)
def test_a_backbone_that_cannot_be_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        trained(**choices)


def test_millions_of_blocks_are_refused_before_any_is_built():
    with pytest.raises(ValueError, match=r"depth must be at most 1000, but 5000000"):
        Backbone(levels=LEVELS, level=3, width=64, depth=5_000_000)
