"""Weights that come with the package: small, trained on CPU; each has a card that says on what and how good."""

from importlib import resources
from pathlib import Path


def pretrained_autoencoder() -> Path:
    """The autoencoder of real meshes, half-precision safetensors; its card is `autoencoder.md` beside it."""
    return Path(str(resources.files(__name__) / "autoencoder.safetensors"))


def pretrained_cascade() -> Path:
    """The cascade on procedural furniture, a bundle in half precision; its card is `furniture.md` beside it."""
    return Path(str(resources.files(__name__) / "furniture"))
