"""Latents of many shapes, encoded once: the cache that `lagem encode` writes and the cascade's stages train from."""

from lagem.latents.cache import LatentCache

__all__ = ["LatentCache"]
