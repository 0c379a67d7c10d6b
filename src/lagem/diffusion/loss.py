"""Training loss of a stage (LaGeM Eq. 10 in EDM's form: Karras et al. 2022, Eq. 2 and 8, Table 1), sigma_data = 1.

Letters: B samples, M latent vectors, D latent channels, K noise levels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lagem.diffusion.noise import add_noise, augment_coarser, draw_noise
from lagem.diffusion.preconditioning import Denoiser


class EDMLoss:
    """The loss lambda(sigma) |D(Z + sigma n; sigma) - Z|^2, at random or at fixed noise levels (EDM Eq. 2 and 8).

    All random numbers of a sample come from the sample's generator, in this order: sigma, the noise, the dropping
    of the condition, the conditioning augmentation. The last two are drawn only if they are on, so turning them on
    changes neither sigma nor the noise.

    Args:
        p_mean: P_mean, the mean of ln sigma in training (EDM Table 1).
        p_std: P_std, the standard deviation of ln sigma.
        drop_condition: Probability that a sample trains without its condition, for classifier-free guidance;
            0 as in the paper, but then guidance is impossible.
        max_coarser_sigma: Upper limit of the conditioning augmentation. Noise of standard deviation
            s ~ U(0, max_coarser_sigma) is added to the coarser latents, and the network receives s as input; 0 as in
            the paper.
    """

    def __init__(
        self,
        *,
        p_mean: float = -1.2,
        p_std: float = 1.2,
        drop_condition: float = 0.0,
        max_coarser_sigma: float = 0.0,
    ) -> None:
        if p_std <= 0:
            raise ValueError(f"p_std, the spread of ln sigma, must be positive, but {p_std} was given.")
        if not 0 <= drop_condition <= 1:
            raise ValueError(f"drop_condition must be a probability, 0 to 1, but {drop_condition} was given.")
        if max_coarser_sigma < 0:
            raise ValueError(f"max_coarser_sigma must be 0 (off) or more, but {max_coarser_sigma} was given.")
        self.p_mean = p_mean
        self.p_std = p_std
        self.drop_condition = drop_condition
        self.max_coarser_sigma = max_coarser_sigma

    def __call__(
        self,
        denoiser: Denoiser,
        latents: Tensor,
        *,
        generators: Sequence[torch.Generator],
        coarser: Sequence[Tensor] = (),
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the training loss of each sample, at ln sigma ~ N(P_mean, P_std^2) (EDM Table 1).

        Args:
            denoiser: Denoiser D of the level that `latents` belong to.
            latents: (B, M, D) clean latents Z_i.
            generators: A generator for each sample, keyed by (seed, epoch, sample id).
            coarser: Latents of the coarser levels, coarsest first.
            condition: Condition in the form that the backbone takes.

        Returns:
            (B,) float32; 1 in expectation before training, if the latents have unit variance.
        """
        sigma = (self.p_mean + self.p_std * draw_noise(latents[:, 0, 0], generators)).exp()
        noise = draw_noise(latents, generators)
        drop = coarser_sigma = None
        if self.drop_condition > 0:
            drop = _draw_uniform(latents, generators) < self.drop_condition
        if self.max_coarser_sigma > 0:
            coarser_sigma = self.max_coarser_sigma * _draw_uniform(latents, generators)
            coarser = augment_coarser(coarser, coarser_sigma, generators)
        denoised = denoiser(
            add_noise(latents, sigma, noise),
            sigma,
            coarser=coarser,
            condition=condition,
            drop=drop,
            coarser_sigma=coarser_sigma,
        )
        return _weighted_error(denoised, latents, sigma)

    def at_fixed_sigmas(
        self,
        denoiser: Denoiser,
        latents: Tensor,
        *,
        sigmas: Sequence[float],
        generators: Sequence[torch.Generator],
        coarser: Sequence[Tensor] = (),
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the validation losses of each sample at fixed noise levels.

        All noise levels use the same noise. No condition is dropped, and the coarser latents stay clean.

        Args:
            denoiser: Denoiser D of the level that `latents` belong to.
            latents: (B, M, D) clean latents Z_i.
            sigmas: K noise levels, such as `quantile_sigmas(K)`.
            generators: A generator for each sample, keyed by (seed, 0, sample id), so that epochs are comparable.
            coarser: Latents of the coarser levels, coarsest first.
            condition: Condition in the form that the backbone takes.

        Returns:
            (K, B) float32, one row for each sigma.
        """
        noise = draw_noise(latents, generators)
        losses = []
        for value in sigmas:
            sigma = torch.full((len(latents),), value, device=latents.device)
            denoised = denoiser(add_noise(latents, sigma, noise), sigma, coarser=coarser, condition=condition)
            losses.append(_weighted_error(denoised, latents, sigma))
        return torch.stack(losses)

    def quantile_sigmas(self, count: int) -> list[float]:
        """Return the medians of `count` intervals of sigma that are equally likely in training, in ascending order.

        The mean of the losses at these sigmas estimates the training loss.
        """
        normal = torch.distributions.Normal(self.p_mean, self.p_std)
        return [math.exp(normal.icdf(torch.tensor((k + 0.5) / count)).item()) for k in range(count)]


def _weighted_error(denoised: Tensor, latents: Tensor, sigma: Tensor) -> Tensor:
    """Return the weighted squared error of each sample (B,), averaged over latent vectors and channels.

    The weight is lambda(sigma) = (sigma^2 + 1) / sigma^2 (EDM Table 1).
    """
    weight = (sigma.square() + 1) / sigma.square()
    return weight * (denoised.float() - latents.float()).square().mean(dim=(1, 2))


def _draw_uniform(like: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Return (B,) numbers uniform in [0, 1), each drawn from the generator of its sample."""
    return torch.cat([torch.rand(1, generator=generator) for generator in generators]).to(like.device)
