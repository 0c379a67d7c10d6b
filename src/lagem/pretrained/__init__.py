"""Small weights that ship with the package, each with a card: its training data, scores and licence."""

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
    """File of one of `AUTOENCODERS`: half-precision safetensors, trained on real meshes; `<name>.md` is its card.

    `autoencoder` was trained on a CPU, and the cascade `meshes` uses it; `large`, trained on a GPU, scores better.
    """
    return Path(str(resources.files(__name__) / f"{name}.safetensors"))


def autoencoder_file(name: str | Path) -> Path:
    """Path of the autoencoder that a user names, not necessarily an existing file: reading it checks that.

    The name is tried as a file, then as one of `AUTOENCODERS`, then as a folder: of a run, of a bundle, or with a
    single file of weights.
    """
    path = Path(name)
    if path.is_file():
        return path
    if str(name) in AUTOENCODERS:
        return pretrained_autoencoder(str(name))
    for file in (path / "checkpoints" / "last.ckpt", path / "autoencoder.safetensors"):
        if file.is_file():
            return file
    found = [*path.glob("[!.]*.safetensors"), *path.glob("[!.]*.ckpt")]
    return found[0] if len(found) == 1 else path


def pretrained_cascade(name: str = "furniture") -> Path:
    """Folder of one of `CASCADES`: a bundle in half precision; `<name>.md` is its card."""
    return Path(str(resources.files(__name__) / name))


def cascade_folder(name: str | Path) -> Path:
    """Folder of the bundle that a user names; a bundle in the current folder comes before one of `CASCADES`."""
    is_here = (Path(name) / "cascade.json").exists()
    return pretrained_cascade(str(name)) if str(name) in CASCADES and not is_here else Path(name)
