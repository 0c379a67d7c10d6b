"""Preparation of meshes: their surfaces are sampled, queries are labelled, and the shapes are packed into shards."""

from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings

__all__ = ["Settings", "prepare"]
