"""The loss equals a direct evaluation of its equation; before training, it has its expected value."""

import math

import pytest
import torch

from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.preconditioning import preconditioning

from .conftest import generators, make_denoiser

SIGMAS = [0.01, 0.3, 1.0, 20.0]


class Recorder:
    """A denoiser that returns zeros and keeps its inputs."""

    def __call__(self, noised, sigma, **given):
        self.noised, self.sigma, self.given = noised, sigma, given
        return torch.zeros_like(noised)


def recorded(loss: EDMLoss, latents: torch.Tensor, **given: object) -> Recorder:
    recorder = Recorder()
    loss(recorder, latents, generators=generators(len(latents)), **given)
    return recorder


def test_loss_is_the_weighted_error_written_out(latents):
    denoiser, condition, sample = make_denoiser(2), torch.tensor([0, 1]), torch.Generator().manual_seed(1)
    losses = EDMLoss()(denoiser, latents[1], generators=generators(2), coarser=[latents[2]], condition=condition)
    sigma = math.exp(-1.2 + 1.2 * torch.randn((), generator=sample).item())
    noised = latents[1][1:] + sigma * torch.randn(1, 8, 6, generator=sample)
    denoised = denoiser(noised, torch.tensor([sigma]), coarser=[latents[2][1:]], condition=condition[1:])
    expected = (sigma**2 + 1) / sigma**2 * ((denoised - latents[1][1:]) ** 2).mean()
    torch.testing.assert_close(losses[1], expected, atol=1e-5, rtol=1e-4)


def test_loss_before_training_is_one_at_every_sigma():
    """An untrained network returns 0, so D = c_skip x.

    The error D - Z is c_skip (sigma n - sigma^2 Z). If Z has unit variance, the variance of the error is
    sigma^2 / (sigma^2 + 1), and the weight of the loss is the inverse of that.
    """
    latents = torch.randn(2000, 4, 8, generator=torch.Generator().manual_seed(3))
    losses = EDMLoss().at_fixed_sigmas(
        make_denoiser(3, started=False), latents, sigmas=SIGMAS, generators=generators(2000)
    )
    torch.testing.assert_close(losses.mean(dim=1), torch.ones(4), atol=0.03, rtol=0)


def test_loss_of_answering_zero_is_the_weight():
    latents = torch.randn(500, 16, 8, generator=torch.Generator().manual_seed(3))
    losses = EDMLoss().at_fixed_sigmas(Recorder(), latents, sigmas=SIGMAS, generators=generators(500)).mean(dim=1)
    expected = torch.tensor([(sigma**2 + 1) / sigma**2 for sigma in SIGMAS])
    torch.testing.assert_close(losses, expected, atol=0, rtol=0.03)


def test_no_scaled_skip_connection_does_better_on_gaussian_latents():
    """For unit Gaussian latents, c_skip x is the posterior mean, so no other multiple of x has a lower loss."""
    latents = torch.randn(2000, 4, 8, generator=torch.Generator().manual_seed(3))

    def scaled(scale: float):
        return lambda noised, sigma, **_: scale * preconditioning(sigma)[0].view(-1, 1, 1) * noised

    losses = [
        EDMLoss().at_fixed_sigmas(scaled(s), latents, sigmas=SIGMAS[:3], generators=generators(2000)).mean(dim=1)
        for s in (0.9, 1.0, 1.1)
    ]
    assert (losses[1] < losses[0]).all() and (losses[1] < losses[2]).all()


def test_logarithm_of_sigma_is_gaussian():
    logarithms = recorded(EDMLoss(), torch.zeros(4000, 1, 2)).sigma.log()
    assert logarithms.mean().item() == pytest.approx(-1.2, abs=0.06)
    assert logarithms.std().item() == pytest.approx(1.2, rel=0.05)


def test_loss_of_a_sample_does_not_depend_on_its_batch(latents):
    denoiser, loss = make_denoiser(3), EDMLoss(drop_condition=0.5)
    condition = torch.tensor([0, 1])
    together = loss(denoiser, latents[2], generators=generators(2), condition=condition)
    alone = loss(denoiser, latents[2][1:], generators=generators(1, start=1), condition=condition[1:])
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-4)


def test_switches_do_not_change_sigma_and_noise_and_are_off_in_the_paper(latents):
    paper = recorded(EDMLoss(), latents[1], coarser=[latents[2]])
    switched = recorded(EDMLoss(drop_condition=0.5, max_coarser_sigma=0.3), latents[1], coarser=[latents[2]])
    assert torch.equal(paper.sigma, switched.sigma) and torch.equal(paper.noised, switched.noised)
    assert paper.given["drop"] is None and paper.given["coarser_sigma"] is None
    assert paper.given["coarser"][0] is latents[2]


def test_augmentation_puts_noise_of_the_told_level_on_coarser_latents():
    coarser = [torch.zeros(300, 40, 8), torch.zeros(300, 50, 6)]
    given = recorded(EDMLoss(max_coarser_sigma=0.4), torch.zeros(300, 4, 4), coarser=coarser).given
    told = given["coarser_sigma"]
    assert told.min() >= 0 and told.max() < 0.4 and told.mean().item() == pytest.approx(0.2, abs=0.02)
    for noised in given["coarser"]:
        torch.testing.assert_close(noised.std(dim=(1, 2)), told, atol=1e-3, rtol=0.3)


def test_augmentation_without_a_backbone_that_is_told_is_refused(latents):
    loss = EDMLoss(max_coarser_sigma=0.4)
    with pytest.raises(ValueError, match="made without conditioning_augmentation"):
        loss(make_denoiser(2), latents[1], generators=generators(2), coarser=[latents[2]])
    told = make_denoiser(2, conditioning_augmentation=True)
    assert loss(told, latents[1], generators=generators(2), coarser=[latents[2]]).isfinite().all()


def test_conditions_are_dropped_with_their_probability():
    drop = recorded(EDMLoss(drop_condition=0.1), torch.zeros(3000, 1, 2)).given["drop"]
    assert drop.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_fixed_sigmas_cut_the_training_distribution_into_equal_parts():
    sigmas = EDMLoss().quantile_sigmas(5)
    assert sigmas == sorted(sigmas) and sigmas[2] == pytest.approx(math.exp(-1.2))
    drawn = recorded(EDMLoss(), torch.zeros(4000, 1, 2)).sigma
    below = [(drawn < sigma).float().mean().item() for sigma in sigmas]
    assert below == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.03)


@pytest.mark.parametrize("wrong", [{"p_std": 0.0}, {"drop_condition": 1.1}, {"max_coarser_sigma": -1.0}])
def test_a_setting_out_of_its_range_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        EDMLoss(**wrong)
