"""Sampler settings take effect: steps and guidance by level, churn with seeded noise, and standardised latents."""

import pytest
import torch

import small_cascade as small
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> CascadedGenerator:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return load_bundle(write_bundle(autoencoder, stages, folder / "cascade"))


def samples(generator, **given):
    few = {"category": "chair", "sampler": SamplerSettings(steps=[4]), "surface": SurfaceSettings(resolution=16)}
    return list(generator.generate(**{**few, **given}))


def test_guidance_of_1_is_none_and_more_changes_the_samples(generator):
    plain = samples(generator, count=1)[0]
    once, twice = (
        samples(generator, count=1, sampler=SamplerSettings(steps=[4], guidance=[w]))[0].latents for w in (1.0, 2.0)
    )
    assert all(torch.equal(a, b) for a, b in zip(plain.latents, once, strict=True))
    assert not torch.allclose(plain.latents[0], twice[0])


def test_each_level_may_have_its_own_guidance(generator):
    plain, guided = (
        samples(generator, count=1, sampler=SamplerSettings(steps=[4], guidance=w))[0].latents
        for w in ([1.0], [2.0, 1.0, 1.0])
    )
    assert [torch.equal(a, b) for a, b in zip(plain, guided, strict=True)] == [False, True, True]


def test_churn_adds_noise_keyed_by_the_seed(generator):
    plain, one, again = (
        samples(generator, count=1, sampler=SamplerSettings(steps=[4], churn=churn))[0].latents
        for churn in (0.0, 4.0, 4.0)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(torch.allclose(a, b) for a, b in zip(plain, one, strict=True))


def test_latents_can_be_standardised_again(generator):
    for latents in samples(generator, count=1, sampler=SamplerSettings(steps=[4], standardise=True))[0].latents:
        torch.testing.assert_close(latents.mean(dim=-1), torch.zeros(len(latents)), atol=1e-5, rtol=0)
        torch.testing.assert_close(latents.std(dim=-1, correction=0), torch.ones(len(latents)), atol=1e-3, rtol=0)
    loose = samples(generator, count=1)[0].latents[0]
    assert (loose.std(dim=-1, correction=0) - 1).abs().max() > 1e-2


def test_bfloat16_changes_samples_only_by_rounding(generator):
    plain, rounded = (
        samples(generator, count=1, sampler=SamplerSettings(steps=[4], bfloat16=bfloat16))[0].latents
        for bfloat16 in (False, True)
    )
    for exact, coarse in zip(plain, rounded, strict=True):
        assert coarse.dtype == torch.float32 and not torch.equal(exact, coarse)
        assert (exact - coarse).abs().max() < 0.1 * exact.abs().max()


def test_each_level_may_have_its_own_number_of_steps(generator):
    seen: dict[int, int] = {}
    sampler = SamplerSettings(steps=[2, 3, 4])

    def on_step(level, step):
        seen[level] = step.num_steps

    assert len(list(generator.stream(count=1, category="chair", sampler=sampler, on_step=on_step))) == 1
    assert seen == {1: 2, 2: 3, 3: 4}
