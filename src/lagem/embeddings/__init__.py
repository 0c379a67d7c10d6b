"""Embeddings of shapes, on which the stages of a cascade are conditioned: `lagem embed` writes them."""

from lagem.embeddings.file import Embeddings

__all__ = ["Embeddings"]
