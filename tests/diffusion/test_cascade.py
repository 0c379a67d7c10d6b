"""Tests of the cascade: on which inputs each level depends, and which inputs are refused."""

import pytest
import torch

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.preconditioning import Denoiser
from lagem.diffusion.sampler import HeunSampler
from lagem.levels import LevelSpec
from lagem.models.bottleneck import standardise
from lagem.models.denoiser import Backbone

from .conftest import LEVELS, make_denoiser

CONDITION = torch.tensor([0, 2])
SEEDS = [7, 8]


def make_cascade(levels: tuple[int, ...] = (1, 2, 3), **settings) -> Cascade:
    stages = [Stage(make_denoiser(level), HeunSampler(num_steps=4)) for level in levels]
    return Cascade(stages, **settings)


def test_samples_have_the_sizes_of_all_levels_fine_to_coarse():
    sampled = make_cascade().sample(SEEDS, condition=CONDITION)
    assert [tuple(z.shape) for z in sampled] == [(2, 16, 4), (2, 8, 6), (2, 4, 8)]


def test_a_stage_sees_the_latents_that_coarser_stages_made():
    """A hook records the coarser latents that each denoiser is given; they are those that the cascade returns."""
    cascade, seen = make_cascade(), {}
    for level, stage in cascade.stages.items():
        stage.denoiser.register_forward_pre_hook(
            lambda _, args, given, level=level: seen.update({level: given["coarser"]}), with_kwargs=True
        )
    z1, z2, z3 = cascade.sample(SEEDS, condition=CONDITION)
    assert list(seen) == [3, 2, 1]
    assert all(torch.equal(one, other) for one, other in zip(seen[1], [z3, z2], strict=True))
    assert torch.equal(seen[2][0], z3) and not seen[3]
    assert z1.shape[1:] == (16, 4)


def test_a_sample_does_not_depend_on_its_batch():
    cascade, first = make_cascade(), {}
    for level, stage in cascade.stages.items():
        stage.denoiser.register_forward_pre_hook(
            lambda _, args, level=level: first.setdefault(level, []).append(args[0])
        )
    together = cascade.sample(SEEDS, condition=CONDITION)
    evaluations = len(first[1])
    alone = cascade.sample(SEEDS[1:], condition=CONDITION[1:])
    for level in (1, 2, 3):
        assert torch.equal(first[level][0][1:], first[level][evaluations])  # the noise: bitwise
        torch.testing.assert_close(together[level - 1][1:], alone[level - 1], atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
def test_a_gpu_samples_what_the_cpu_does():
    cascade = make_cascade()
    on_cpu = cascade.sample(SEEDS, condition=CONDITION)
    for stage in cascade.stages.values():
        stage.denoiser.cuda()
    on_gpu = cascade.sample(SEEDS, condition=CONDITION.cuda())
    for one, other in zip(on_cpu, on_gpu, strict=True):
        torch.testing.assert_close(one, other.cpu(), atol=1e-3, rtol=1e-3)


def test_levels_and_seeds_have_their_own_noise():
    levels = [LevelSpec(12, 4), LevelSpec(8, 4)]
    backbones = [Backbone(levels=levels, level=level, width=64, depth=0) for level in (1, 2)]
    fine, coarse = Cascade([Stage(Denoiser(backbone)) for backbone in backbones]).sample(SEEDS)
    assert not torch.allclose(fine[:, :8], coarse)
    assert not torch.allclose(coarse[0], coarse[1])


def test_given_levels_are_kept_and_the_others_drawn_with_the_same_noise():
    cascade = make_cascade()
    sampled = cascade.sample(SEEDS, condition=CONDITION)
    kept = cascade.sample(SEEDS, condition=CONDITION, given={3: sampled[2]})
    assert all(torch.equal(one, other) for one, other in zip(sampled, kept, strict=True))
    other_detail = cascade.sample([9, 10], condition=CONDITION, given={3: sampled[2]})
    assert torch.equal(other_detail[2], sampled[2])
    assert not torch.allclose(other_detail[1], sampled[1]) and not torch.allclose(other_detail[0], sampled[0])


def test_a_given_level_needs_no_stage(latents):
    sampled = make_cascade((1,)).sample(SEEDS, condition=CONDITION, given={2: latents[1], 3: latents[2]})
    whole = make_cascade().sample(SEEDS, condition=CONDITION, given={2: latents[1], 3: latents[2]})
    assert torch.equal(sampled[0], whole[0])


def test_standardised_samples_have_zero_mean_and_unit_variance():
    for latents in make_cascade(standardise=standardise).sample(SEEDS, condition=CONDITION):
        torch.testing.assert_close(latents.mean(-1), torch.zeros(latents.shape[:2]), atol=1e-5, rtol=0)
        torch.testing.assert_close(latents.var(-1, correction=0), torch.ones(latents.shape[:2]), atol=1e-3, rtol=0)


def test_every_stage_has_its_own_steps_and_guidance():
    samplers = {1: HeunSampler(num_steps=2), 2: HeunSampler(num_steps=3), 3: HeunSampler(num_steps=4, guidance=2)}
    steps: dict[int, int] = {}
    stages = [Stage(make_denoiser(level), sampler) for level, sampler in samplers.items()]
    Cascade(stages).sample(
        SEEDS, condition=CONDITION, on_step=lambda level, step: steps.update({level: step.num_evaluations})
    )
    assert steps == {3: 2 * 7, 2: 5, 1: 3}


def test_augmentation_noises_what_a_stage_sees_and_not_what_is_returned(latents):
    given = {2: latents[1], 3: latents[2]}
    denoiser, seen = make_denoiser(1, conditioning_augmentation=True), []
    denoiser.register_forward_pre_hook(lambda _, args, given: seen.append(given), with_kwargs=True)
    stage = Stage(denoiser, HeunSampler(num_steps=2), coarser_sigma=0.3)
    sampled = Cascade([stage]).sample(SEEDS, condition=CONDITION, given=given)
    assert sampled[1] is latents[1] and sampled[2] is latents[2]
    assert torch.equal(seen[0]["coarser_sigma"], torch.full((2,), 0.3))
    assert (seen[0]["coarser"][0] - latents[2]).std().item() == pytest.approx(0.3, rel=0.3)
    assert torch.equal(seen[0]["coarser"][0], seen[-1]["coarser"][0])  # one noise for all steps


def test_augmentation_of_level_0_is_the_papers_cascade(latents):
    given = {2: latents[1], 3: latents[2]}
    plain = Cascade([Stage(make_denoiser(1))]).sample(SEEDS, condition=CONDITION, given=given)
    unaugmented = Cascade([Stage(make_denoiser(1), coarser_sigma=0.0)])
    assert torch.equal(plain[0], unaugmented.sample(SEEDS, condition=CONDITION, given=given)[0])
    with pytest.raises(ValueError, match="made without conditioning_augmentation"):
        Cascade([Stage(make_denoiser(1), coarser_sigma=0.1)]).sample(SEEDS, condition=CONDITION, given=given)


def test_stages_out_of_order_or_of_other_autoencoders_are_refused():
    with pytest.raises(ValueError, match=r"fine to coarse, each level once, but levels \[3, 1\]"):
        make_cascade((3, 1))
    other = Denoiser(Backbone(levels=LEVELS[:2], level=2, width=64, depth=0))
    with pytest.raises(ValueError, match="stages 1 and 2 were trained for autoencoders with different levels"):
        Cascade([Stage(make_denoiser(1)), Stage(other)])


def test_kl_latents_are_not_standardised():
    backbone = Backbone(levels=[LevelSpec(8, 4, bottleneck="kl")], level=1, width=64, depth=0)
    with pytest.raises(ValueError, match="level 1 has a KL bottleneck"):
        Cascade([Stage(Denoiser(backbone))], standardise=standardise)


def test_what_is_missing_or_of_the_wrong_size_is_named(latents):
    cascade = make_cascade((1, 2))
    with pytest.raises(ValueError, match=r"levels \[3\] have no stage"):
        cascade.sample(SEEDS, condition=CONDITION)
    with pytest.raises(ValueError, match=r"latents of levels \[4\] were given"):
        cascade.sample(SEEDS, given={4: latents[2]})
    with pytest.raises(ValueError, match=r"level 3 must be \(B, 4, 8\), but \(2, 8, 6\)"):
        cascade.sample(SEEDS, given={3: latents[1]})
    with pytest.raises(ValueError, match=r"2 seeds make 2 samples, but level 3 was given for 1"):
        cascade.sample(SEEDS, given={3: latents[2][:1]})
