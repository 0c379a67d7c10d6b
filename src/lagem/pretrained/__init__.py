"""Weights that come with the package: small; each has a card that says on what and how good."""

from importlib import resources
from pathlib import Path

__all__ = [
    "AUTOENCODERS",
    "CASCADES",
    "autoencoder_file",
    "cascade_folder",
    "pretrained_autoencoder",
    "pretrained_cascade",
]

AUTOENCODERS = ("autoencoder", "large")
CASCADES = ("furniture", "meshes")


def pretrained_autoencoder(name: str = "autoencoder") -> Path:
    """One of `AUTOENCODERS`, of real meshes, half-precision safetensors; its card is `<name>.md` beside it.

    `autoencoder` was trained on a CPU, and the cascade `meshes` is made for it; `large`, from a GPU, is better.
    """
    return Path(str(resources.files(__name__) / f"{name}.safetensors"))


def autoencoder_file(name: str) -> Path:
    """A file that a user names, or one of `AUTOENCODERS` where there is no file of that name."""
    return pretrained_autoencoder(name) if name in AUTOENCODERS and not Path(name).is_file() else Path(name)


def pretrained_cascade(name: str = "furniture") -> Path:
    """A cascade of `CASCADES`, a bundle in half precision; its card is `<name>.md` beside it."""
    return Path(str(resources.files(__name__) / name))


def cascade_folder(name: str | None) -> Path:
    """A folder that a user names, or one of `CASCADES` where there is no bundle of that name; None is furniture."""
    if name is None:
        return pretrained_cascade()
    is_there = (Path(name) / "cascade.json").exists()
    return pretrained_cascade(name) if name in CASCADES and not is_there else Path(name)
