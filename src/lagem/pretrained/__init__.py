"""Weights that come with the package: small, trained on CPU; each has a card that says on what and how good."""

from importlib import resources
from pathlib import Path

CASCADES = ("furniture", "meshes")


def pretrained_autoencoder() -> Path:
    """The autoencoder of real meshes, half-precision safetensors; its card is `autoencoder.md` beside it."""
    return Path(str(resources.files(__name__) / "autoencoder.safetensors"))


def pretrained_cascade(name: str = "furniture") -> Path:
    """A cascade of `CASCADES`, a bundle in half precision; its card is `<name>.md` beside it."""
    return Path(str(resources.files(__name__) / name))


def cascade_folder(name: str) -> Path:
    """The folder that a user names, or the cascade of ours by that name where there is no such folder."""
    folder = Path(name)
    return pretrained_cascade(name) if name in CASCADES and not folder.exists() else folder
