"""Sampling by Heun's method (EDM: Karras et al. 2022, Algorithm 2), with classifier-free guidance (Ho & Salimans 2022).

The symbols are those of Algorithm 2. EDM chooses sigma(t) = t, so the times t_0 > ... > t_N = 0 are the noise levels
sigma_i, and the probability flow ODE (EDM Eq. 1 with Eq. 3) is dx/dt = (x - D(x; t)) / t. Without churn (S_churn = 0)
Algorithm 2 is Algorithm 1.

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
    """The state of sampling after a step.

    step: number of the step, 1 to num_steps.
    num_steps: N, the number of all steps.
    sigma: noise level after the step; 0 after the last step.
    denoised: (B, M, D) clean latents D(x_hat; t_hat), as predicted at the start of the step.
    num_evaluations: number of evaluations of the network on this batch so far.
    """

    step: int
    num_steps: int
    sigma: float
    denoised: Tensor
    num_evaluations: int


class HeunSampler:
    """Turns Gaussian noise into latents of one level.

    This takes 2N - 1 evaluations of the denoiser, or twice as many with guidance. The state is float64, except on mps
    devices, which have no float64; there it is float32.

    Args:
        num_steps: N, the number of steps.
        sigma_min: Noise level t_{N-1}, from which the last step (an Euler step) goes to 0.
        sigma_max: Noise level t_0 of the start.
        rho: How much the steps shorten towards sigma_min (EDM Eq. 5); 1 makes all steps equal.
        guidance: Weight w in D_uncond + w (D_cond - D_uncond). 1 is no guidance and needs no unconditional evaluation.
        s_churn: S_churn, the total amount of noise added before steps; 0 makes sampling deterministic.
        s_min: S_tmin, the smallest noise level to which noise is added.
        s_max: S_tmax, the largest noise level to which noise is added.
        s_noise: S_noise, the standard deviation of the added noise.
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
        self.sigmas = noise_levels(num_steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)

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
        """Sample latents, starting from noise (EDM Algorithm 2).

        Args:
            denoiser: D, or any callable with its signature.
            noise: (B, M, D) standard Gaussian noise.
            coarser: Latents of the coarser levels, coarsest first.
            condition: Condition in the form that the denoiser takes.
            coarser_sigma: (B,) standard deviations of the noise on `coarser`; None means that all are 0.
            generators: A generator for each sample, from which the noise of s_churn is drawn.
            on_step: Called after every step with the state of the sampling.

        Returns:
            (B, M, D) latents x_N, in the type of `noise`.

        Raises:
            ValueError: If there is guidance without a condition, or churn without generators.
        """
        if self.guidance != 1 and condition is None:
            raise ValueError(f"guidance {self.guidance} needs a condition, but there is none. Use guidance 1.")
        if self.s_churn > 0 and generators is None:
            raise ValueError(f"s_churn {self.s_churn} adds noise, but no generators were given to draw it.")
        denoise = _Guided(denoiser, self.guidance, condition, {"coarser": coarser, "coarser_sigma": coarser_sigma})
        x = noise.to(torch.float32 if noise.device.type == "mps" else torch.float64) * self.sigmas[0]  # line 2
        for i, (t, t_next) in enumerate(pairwise(self.sigmas)):  # t_i and t_{i+1}
            t_hat = t * (1 + self._gamma(t))  # line 5
            x_hat = self._churned(x, t, t_hat, generators)
            denoised = denoise(x_hat, t_hat)
            d = (x_hat - denoised) / t_hat  # line 7: dx/dt at t_hat
            x = x_hat + (t_next - t_hat) * d  # line 8: Euler step
            if t_next > 0:
                d_prime = (x - denoise(x, t_next)) / t_next  # line 10: dx/dt at t_{i+1}
                x = x_hat + (t_next - t_hat) * (d + d_prime) / 2  # line 11: second-order correction
            if on_step is not None:
                on_step(SamplerStep(i + 1, self.num_steps, t_next, denoised.to(noise.dtype), denoise.evaluations))
        return x.to(noise.dtype)

    def _gamma(self, t: float) -> float:
        """Return gamma_i, the relative increase of the noise level t_i before a step (Algorithm 2, line 3)."""
        return min(self.s_churn / self.num_steps, math.sqrt(2) - 1) if self.s_min <= t <= self.s_max else 0.0

    def _churned(self, x: Tensor, t: float, t_hat: float, generators: Sequence[torch.Generator] | None) -> Tensor:
        """Raise the noise level of x from t to t_hat (Algorithm 2, lines 4 and 6); return the noisier x_hat.

        x_hat = x + sqrt(t_hat^2 - t^2) eps, where eps ~ N(0, S_noise^2).
        """
        if t_hat == t:
            return x
        assert generators is not None
        added = torch.full((len(x),), self.s_noise * math.sqrt(t_hat**2 - t**2), device=x.device)
        return add_noise(x, added.to(x.dtype), draw_noise(x, generators))


def noise_levels(num_steps: int, *, sigma_min: float, sigma_max: float, rho: float) -> list[float]:
    """Return N + 1 noise levels: N from sigma_max down to sigma_min, then 0 (EDM Eq. 5).

    sigma_i = (sigma_max^(1/rho) + i / (N - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho for i < N; sigma_N = 0.
    """
    roots = torch.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), num_steps, dtype=torch.float64)
    return [*(roots**rho).tolist(), 0.0]


class _Guided:
    """D as a function of noised latents and sigma only. It applies guidance and counts evaluations of the network."""

    def __init__(self, denoiser: Denoiser, guidance: float, condition: Tensor | None, bound: dict[str, Any]) -> None:
        self._denoiser = denoiser
        self._guidance = guidance
        self._condition = condition
        self._bound = bound
        self.evaluations = 0

    def __call__(self, noised: Tensor, sigma: float) -> Tensor:
        """Return D_uncond + w (D_cond - D_uncond)."""
        conditional = self._evaluate(noised, sigma, self._condition)
        if self._guidance == 1:
            return conditional
        unconditional = self._evaluate(noised, sigma, None)
        return unconditional + self._guidance * (conditional - unconditional)

    def _evaluate(self, noised: Tensor, sigma: float, condition: Tensor | None) -> Tensor:
        self.evaluations += 1
        sigmas = torch.full((len(noised),), sigma, dtype=noised.dtype, device=noised.device)
        return self._denoiser(noised, sigmas, condition=condition, **self._bound).to(noised.dtype)
