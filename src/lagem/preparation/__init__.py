"""From meshes to a prepared folder: sampling, labelling and packing."""

from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings

__all__ = ["Settings", "prepare"]
