"""Caches of latents, which `lagem encode` writes and the stages of the cascade are trained on."""

from lagem.latents.cache import LatentCache

__all__ = ["LatentCache"]
