"""The sampler is right for Gaussian data of standard deviation S, whose denoiser and ODE solution are known."""

import math
from itertools import pairwise

import pytest
import torch

from lagem.diffusion.sampler import HeunSampler

from .conftest import generators, make_denoiser

S = 0.7
NOISE = torch.randn(400, 10, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CONDITION = torch.tensor([0, 1])


def gaussian(noised, sigma, **_):
    """Return E[z | z + sigma n] for z ~ N(0, S^2): the output of the exact denoiser for Gaussian data."""
    return noised * (S**2 / (S**2 + sigma**2)).view(-1, 1, 1)


def exact(noise: torch.Tensor) -> torch.Tensor:
    """Return the exact samples of Gaussian data: x(0), the solution of dx/dsigma = (x - D) / sigma at sigma = 0.

    The solution starts at x(80) = 80 noise, and is proportional to sqrt(S^2 + sigma^2).
    """
    return 80 * noise * S / math.sqrt(S**2 + 80**2)


def heun(sigma: float, next_sigma: float) -> float:
    """Return the factor by which one step of EDM's Algorithm 2 multiplies a sample of Gaussian data."""
    slope = (1 - S**2 / (S**2 + sigma**2)) / sigma
    euler = 1 + (next_sigma - sigma) * slope
    if next_sigma == 0:
        return euler
    next_slope = (euler - euler * S**2 / (S**2 + next_sigma**2)) / next_sigma
    return 1 + (next_sigma - sigma) * (slope + next_slope) / 2


def largest_error(num_steps: int) -> float:
    return (HeunSampler(num_steps=num_steps)(gaussian, NOISE) / exact(NOISE) - 1).abs().max().item()


def test_18_steps_are_those_of_algorithm_2():
    expected = 80 * NOISE * math.prod(heun(*step) for step in pairwise(HeunSampler().sigmas))
    torch.testing.assert_close(HeunSampler()(gaussian, NOISE), expected, atol=0, rtol=1e-9)


@pytest.mark.parametrize(("num_steps", "within"), [(18, 0.11), (40, 0.02)])
def test_samples_have_the_variance_of_the_data(num_steps, within):
    """At 18 steps, Algorithm 2 itself leaves 10% too much variance; this is not due to rounding."""
    samples = HeunSampler(num_steps=num_steps)(gaussian, NOISE)
    assert (samples.var() / NOISE.var()).item() == pytest.approx(S**2, rel=within)


def test_error_falls_at_second_order_in_the_number_of_steps():
    errors = [largest_error(num_steps) for num_steps in (16, 32, 64)]
    for coarse, fine in pairwise(errors):
        assert 3.3 < coarse / fine < 5


def test_noise_levels_are_those_of_equation_5():
    sigmas = HeunSampler(num_steps=18).sigmas
    ends = 80 ** (1 / 7), 0.002 ** (1 / 7)
    expected = [(ends[0] + i / 17 * (ends[1] - ends[0])) ** 7 for i in range(18)]
    assert sigmas == pytest.approx([*expected, 0.0], rel=1e-12)


def test_one_step_is_the_denoised_noise():
    torch.testing.assert_close(
        HeunSampler(num_steps=1)(gaussian, NOISE), gaussian(80 * NOISE, torch.tensor([80.0])), atol=1e-9, rtol=1e-9
    )


@pytest.mark.parametrize(("s_churn", "s_noise"), [(40.0, 1.0), (10.0, 1.5), (10.0, 0.0)])
def test_churn_adds_the_variance_of_algorithm_2(s_churn, s_noise):
    """The expected variance follows lines 4 to 6 of Algorithm 2: raise sigma, add the noise, and step from there."""
    sampler = HeunSampler(num_steps=32, s_churn=s_churn, s_min=0.05, s_max=50, s_noise=s_noise)
    variance = 80**2
    for sigma, next_sigma in pairwise(sampler.sigmas):
        raised = sigma * (1 + min(s_churn / 32, math.sqrt(2) - 1)) if 0.05 <= sigma <= 50 else sigma
        variance = (variance + s_noise**2 * (raised**2 - sigma**2)) * heun(raised, next_sigma) ** 2
    samples = sampler(gaussian, NOISE, generators=generators(len(NOISE)))
    assert samples.var().item() == pytest.approx(variance, rel=0.03)


def test_churn_leaves_the_variance_of_the_data_and_forgets_the_start():
    sampler = HeunSampler(num_steps=200, s_churn=40, s_min=0.05, s_max=50)
    samples = sampler(gaussian, NOISE, generators=generators(len(NOISE)))
    assert samples.var().item() == pytest.approx(S**2, rel=0.03)
    assert torch.corrcoef(torch.stack([samples.flatten(), NOISE.flatten()]))[0, 1] < 0.5


def test_churn_outside_its_noise_levels_changes_nothing():
    churned = HeunSampler(s_churn=40, s_min=100)(gaussian, NOISE, generators=generators(len(NOISE)))
    assert torch.equal(churned, HeunSampler()(gaussian, NOISE))


@pytest.mark.parametrize(("guidance", "evaluations"), [(1.0, 35), (3.0, 70)])
def test_evaluations_of_the_network_are_counted(latents, guidance, evaluations):
    denoiser, calls, steps = make_denoiser(3), [], []
    denoiser.backbone.register_forward_hook(lambda *_: calls.append(None))
    HeunSampler(guidance=guidance)(denoiser, latents[2], condition=CONDITION, on_step=steps.append)
    assert len(calls) == steps[-1].num_evaluations == evaluations
    assert [(step.step, step.num_steps) for step in steps] == [(number, 18) for number in range(1, 19)]
    assert steps[-1].sigma == 0


def test_guidance_1_is_no_guidance(latents):
    denoiser = make_denoiser(3)

    def in_closure(noised, sigma, **_):
        return denoiser(noised, sigma, condition=CONDITION)

    guided = HeunSampler(guidance=1)(denoiser, latents[2], condition=CONDITION)
    assert torch.equal(guided, HeunSampler()(in_closure, latents[2]))


def test_guidance_moves_from_the_unconditional_answer_through_the_conditional_one(latents):
    denoiser, seen = make_denoiser(3), []
    HeunSampler(num_steps=1, guidance=2.5)(denoiser, latents[2], condition=CONDITION, on_step=seen.append)
    noised, sigma = 80 * latents[2], torch.full((2,), 80.0)
    conditional, unconditional = denoiser(noised, sigma, condition=CONDITION), denoiser(noised, sigma)
    expected = unconditional + 2.5 * (conditional - unconditional)
    torch.testing.assert_close(seen[0].denoised, expected, atol=1e-5, rtol=1e-4)


def test_samples_alone_and_in_a_batch_are_alike(latents):
    denoiser, sampler = make_denoiser(3), HeunSampler(s_churn=10)
    together = sampler(denoiser, latents[2], condition=CONDITION, generators=generators(2))
    alone = sampler(denoiser, latents[2][1:], condition=CONDITION[1:], generators=generators(1, start=1))
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)


def test_samples_come_in_the_type_of_the_noise(latents):
    assert HeunSampler()(make_denoiser(3), latents[2], condition=CONDITION).dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"guidance": 3.0}, "guidance 3.0 needs a condition"), ({"s_churn": 40.0}, "no generators were given")],
)
def test_what_a_setting_needs_and_lacks_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        HeunSampler(**settings)(gaussian, NOISE)


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"sigma_min": 0.0}, {"sigma_min": 100.0}])
def test_noise_levels_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HeunSampler(**wrong)
