"""Draw Gaussian noise. Each sample has its own generator, so that no sample depends on its batch.

The generators are on the CPU whatever the device, so all devices get the same noise.

Letters: B samples, M latent vectors, D latent channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lagem.randomness import sample_seed


def torch_generator(seed: int, epoch: int, sample_id: str) -> torch.Generator:
    """Return the CPU generator of one sample in one epoch, keyed like `lagem.randomness.sample_generator`."""
    return torch.Generator().manual_seed(sample_seed(seed, epoch, sample_id))


def draw_noise(like: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw standard Gaussian noise of the shape of `like`, with one generator for each of the B samples.

    Returns:
        (B, ...) float32 on the device of `like`; the values are drawn on the CPU.

    Raises:
        ValueError: If the number of generators is not B.
    """
    if len(generators) != len(like):
        raise ValueError(f"{len(like)} samples need one generator each, but {len(generators)} generators were given.")
    return torch.stack([torch.randn(like.shape[1:], generator=generator) for generator in generators]).to(like.device)


def add_noise(latents: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return Z + sigma n (EDM Eq. 2), for (B, M, D) latents Z, (B, M, D) noise n and (B,) sigma."""
    return latents + sigma.view(-1, 1, 1) * noise


def augment_coarser(
    coarser: Sequence[Tensor], coarser_sigma: Tensor, generators: Sequence[torch.Generator]
) -> list[Tensor]:
    """Add noise to the latents of every coarser level: return Z_j + s * n for each j.

    This is the conditioning augmentation of Ho et al. 2022 (Cascaded Diffusion). A stage that was trained on noised
    coarser latents tolerates the errors of generated ones.

    Args:
        coarser: Latents of the coarser levels, (B, M_j, D_j) each, coarsest first.
        coarser_sigma: (B,) standard deviations s; all levels of a sample share one.
        generators: A generator for each sample.
    """
    return [add_noise(latents, coarser_sigma, draw_noise(latents, generators)) for latents in coarser]


def partly_noise(latents: Tensor, fraction: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Replace randomly chosen vectors of each set by standard Gaussian noise (LaGeM appendix G, Fig. 14).

    Args:
        latents: (B, M, D) standardised latents.
        fraction: Fraction of the M vectors to replace, from 0 to 1; the number of vectors is rounded.
        generators: A generator for each sample.

    Returns:
        (B, M, D) latents; the vectors that are not replaced are unchanged.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be between 0 and 1, but {fraction} was given.")
    noise, count = draw_noise(latents, generators), latents.shape[1]
    ranks = torch.stack([torch.randperm(count, generator=generator) for generator in generators]).to(latents.device)
    return torch.where((ranks < round(fraction * count)).unsqueeze(-1), noise, latents)
