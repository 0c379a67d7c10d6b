"""Diffusion of latent sets in EDM's formulation, in pure torch. This package is independent of shapes and meshes."""

from lagem.diffusion.cascade import Cascade, Stage
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.noise import draw_noise, partly_noise, torch_generator
from lagem.diffusion.preconditioning import Denoiser
from lagem.diffusion.sampler import HeunSampler, SamplerStep

__all__ = [
    "Cascade",
    "Denoiser",
    "EDMLoss",
    "HeunSampler",
    "SamplerStep",
    "Stage",
    "draw_noise",
    "partly_noise",
    "torch_generator",
]
