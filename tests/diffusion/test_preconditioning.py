"""The denoiser satisfies EDM's equations, and is right at the lowest and highest noise levels."""

import pytest
import torch

from lagem.diffusion.preconditioning import preconditioning

from .conftest import make_denoiser

GIVEN = {"condition": torch.tensor([0, 2])}


def test_denoiser_is_the_identity_as_sigma_goes_to_zero(latents):
    denoised = make_denoiser(3)(latents[2], torch.full((2,), 1e-5), **GIVEN)
    torch.testing.assert_close(denoised, latents[2], atol=1e-4, rtol=0)


def test_denoiser_forgets_pure_noise_before_training(latents):
    noise = 1e4 * latents[2]
    assert make_denoiser(3, started=False)(noise, torch.full((2,), 1e4), **GIVEN).abs().max() < 1e-3


@pytest.mark.parametrize("sigma", [0.002, 0.5, 80.0])
def test_denoiser_is_the_skip_connection_before_training(latents, sigma):
    sigmas = torch.full((2,), sigma)
    expected = preconditioning(sigmas)[0][:, None, None] * latents[2]
    assert torch.equal(make_denoiser(3, started=False)(latents[2], sigmas, **GIVEN), expected)


def test_input_and_target_of_the_network_have_unit_variance_at_every_sigma():
    """EDM appendix B.6 derives c_in, c_skip and c_out from these conditions; its c_skip minimises c_out."""
    z, n = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(0))
    for sigma in torch.tensor([0.01, 0.3, 1.0, 20.0]):
        c_skip, c_out, c_in, c_noise = preconditioning(sigma)
        noised = z + sigma * n
        assert (c_in * noised).var().item() == pytest.approx(1, rel=0.02)
        assert ((z - c_skip * noised) / c_out).var().item() == pytest.approx(1, rel=0.02)
        assert c_noise.item() == pytest.approx(sigma.log().item() / 4)
        for other in (c_skip - 0.05, c_skip + 0.05):
            assert (z - other * noised).var() > (z - c_skip * noised).var()


def test_samples_of_a_batch_have_their_own_sigma(latents):
    denoiser, sigmas = make_denoiser(3), torch.tensor([0.1, 3.0])
    together = denoiser(latents[2], sigmas, **GIVEN)
    for index in range(2):
        one = slice(index, index + 1)
        alone = denoiser(latents[2][one], sigmas[one], condition=GIVEN["condition"][one])
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-4)


def test_skip_connection_stays_exact_under_autocast(latents):
    sigmas = torch.full((2,), 0.01)
    plain = make_denoiser(3)(latents[2], sigmas, **GIVEN)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = make_denoiser(3)(latents[2], sigmas, **GIVEN)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain, atol=5e-4, rtol=0)  # bfloat16 alone would be off by 8e-3
