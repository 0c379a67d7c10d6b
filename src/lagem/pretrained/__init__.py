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


def cascade_folder(name: str | None) -> Path:
    """A folder that a user names, or one of `CASCADES` where there is no bundle of that name; None is furniture."""
    if name is None:
        return pretrained_cascade()
    is_there = (Path(name) / "cascade.json").exists()
    return pretrained_cascade(name) if name in CASCADES and not is_there else Path(name)
