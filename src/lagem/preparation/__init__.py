"""Preparation of meshes into a folder of shards: sampling, labelling and packing."""

from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings

__all__ = ["Settings", "prepare"]
