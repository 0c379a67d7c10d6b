"""Latents of many shapes, encoded once: the cache that `lagem encode` writes and the cascade's stages train from."""

from lagem.latents.cache import LatentCache
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode, encoding_status
from lagem.latents.report import show, show_part
from lagem.latents.surfaces import PreparedSurfaces, SurfaceSource

__all__ = [
    "EncodeSettings",
    "LatentCache",
    "PreparedSurfaces",
    "SurfaceSource",
    "encode",
    "encoding_status",
    "show",
    "show_part",
]
