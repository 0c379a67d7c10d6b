"""Latent caches: `lagem encode` writes them, and the stages of the cascade are trained on them."""

from lagem.latents.cache import LatentCache

__all__ = ["LatentCache"]
