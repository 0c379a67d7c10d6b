"""Sampling by Heun's method (EDM: Karras et al. 2022, Algorithm 2), with classifier-free guidance.

Letters: B samples, M latent vectors, D latent channels, N steps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lagem.diffusion.noise import add_noise, draw_noise
from lagem.diffusion.preconditioning import Denoiser


@dataclass(frozen=True)
class SamplerStep:
    """What is known after a step.

    step: 1 to num_steps, and sigma: the noise level it reached, 0 after the last.
    denoised: (B, M, D), the clean latents as the step saw them.
    num_evaluations: runs of the network on the batch so far.
    """

    step: int
    num_steps: int
    sigma: float
    denoised: Tensor
    num_evaluations: int


class HeunSampler:
    """From Gaussian noise to latents of one level: 2N - 1 evaluations of the denoiser, twice that with guidance.

    The state is float64, but float32 on mps devices, which have no float64.

    Args:
        num_steps: N.
        sigma_min: Noise level of the last step, from where one Euler step goes to 0.
        sigma_max: Noise level of the start.
        rho: How much shorter steps near sigma_min are (EDM Eq. 5); 1 is equal steps.
        guidance: w of D_uncond + w (D_cond - D_uncond); 1 is none, and needs no unconditional evaluation.
        s_churn: S_churn, how much noise is added before the steps in all; 0 makes sampling deterministic.
        s_min: S_min, smallest noise level to which noise is added.
        s_max: S_max, largest noise level to which noise is added.
        s_noise: S_noise, standard deviation of the added noise.
    """

    def __init__(
        self,
        *,
        num_steps: int = 18,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        rho: float = 7.0,
        guidance: float = 1.0,
        s_churn: float = 0.0,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
    ) -> None:
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1, but {num_steps} was given.")
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"0 < sigma_min < sigma_max must hold, but {sigma_min} and {sigma_max} were given.")
        if not s_churn >= 0:
            raise ValueError(f"s_churn must be 0 (no noise) or more, but {s_churn} was given.")
        self.num_steps = num_steps
        self.guidance = guidance
        self.s_churn = s_churn
        self.s_min = s_min
        self.s_max = s_max
        self.s_noise = s_noise
        roots = torch.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), num_steps, dtype=torch.float64)
        self.sigmas = [*(roots**rho).tolist(), 0.0]  # t_0 ... t_N

    @torch.no_grad()
    def __call__(
        self,
        denoiser: Denoiser,
        noise: Tensor,
        *,
        coarser: Sequence[Tensor] = (),
        condition: Tensor | None = None,
        coarser_sigma: Tensor | None = None,
        generators: Sequence[torch.Generator] | None = None,
        on_step: Callable[[SamplerStep], None] | None = None,
    ) -> Tensor:
        """Latents that belong to a noise.

        Args:
            denoiser: D, or what is called like it.
            noise: (B, M, D), standard Gaussian.
            coarser: Latents of the coarser levels, coarsest first.
            condition: As `Backbone.forward` has it.
            coarser_sigma: (B,), standard deviation of the noise on `coarser`; None is 0.
            generators: One for each sample, for the noise that s_churn adds.
            on_step: Called after every step.

        Returns:
            (B, M, D), in the type of `noise`.

        Raises:
            ValueError: Guidance without a condition, or churn without generators.
        """
        if self.guidance != 1 and condition is None:
            raise ValueError(f"guidance {self.guidance} needs a condition, but there is none. Use guidance 1.")
        if self.s_churn > 0 and generators is None:
            raise ValueError(f"s_churn {self.s_churn} adds noise, but no generators were given to draw it.")
        denoise = _Guided(denoiser, self.guidance, condition, {"coarser": coarser, "coarser_sigma": coarser_sigma})
        x = noise.to(torch.float32 if noise.device.type == "mps" else torch.float64) * self.sigmas[0]
        for step, (sigma, next_sigma) in enumerate(pairwise(self.sigmas), start=1):
            sigma_hat = sigma * (1 + self._gamma(sigma))
            if sigma_hat > sigma:
                assert generators is not None
                added = torch.full((len(x),), self.s_noise * math.sqrt(sigma_hat**2 - sigma**2), device=x.device)
                x = add_noise(x, added.to(x.dtype), draw_noise(x, generators))
            denoised = denoise(x, sigma_hat)
            slope = (x - denoised) / sigma_hat
            euler = x + (next_sigma - sigma_hat) * slope
            if next_sigma > 0:
                next_slope = (euler - denoise(euler, next_sigma)) / next_sigma
                x = x + (next_sigma - sigma_hat) * (slope + next_slope) / 2
            else:
                x = euler
            if on_step is not None:
                on_step(SamplerStep(step, self.num_steps, next_sigma, denoised.to(noise.dtype), denoise.evaluations))
        return x.to(noise.dtype)

    def _gamma(self, sigma: float) -> float:
        """By which part the noise level is raised before a step (Algorithm 2, line 3)."""
        return min(self.s_churn / self.num_steps, math.sqrt(2) - 1) if self.s_min <= sigma <= self.s_max else 0.0


class _Guided:
    """D with everything given but the noised latents and sigma; counts evaluations."""

    def __init__(self, denoiser: Denoiser, guidance: float, condition: Tensor | None, given: dict[str, Any]) -> None:
        self._denoiser = denoiser
        self._guidance = guidance
        self._condition = condition
        self._given = given
        self.evaluations = 0

    def __call__(self, noised: Tensor, sigma: float) -> Tensor:
        conditional = self._evaluate(noised, sigma, self._condition)
        if self._guidance == 1:
            return conditional
        unconditional = self._evaluate(noised, sigma, None)
        return unconditional + self._guidance * (conditional - unconditional)

    def _evaluate(self, noised: Tensor, sigma: float, condition: Tensor | None) -> Tensor:
        self.evaluations += 1
        sigmas = torch.full((len(noised),), sigma, dtype=noised.dtype, device=noised.device)
        return self._denoiser(noised, sigmas, condition=condition, **self._given).to(noised.dtype)
