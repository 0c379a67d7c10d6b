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
    """Return the path of one of `AUTOENCODERS`, a safetensors file in half precision; `<name>.md` is its card.

    Both were trained on real meshes: `autoencoder` on a CPU, `large` on a GPU. `large` scores better, but the cascade
    `meshes` uses `autoencoder`.
    """
    return Path(str(resources.files(__name__) / f"{name}.safetensors"))


def autoencoder_file(name: str | Path) -> Path:
    """Return the path of the autoencoder that a user names. There may be no file at this path.

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
    """Return the folder of one of `CASCADES`, a bundle in half precision; `<name>.md` is its card."""
    return Path(str(resources.files(__name__) / name))


def cascade_folder(name: str | Path) -> Path:
    """Return the folder of the bundle that a user names.

    A name of `CASCADES` means the bundle in the package, unless the current folder holds a bundle of that name.
    """
    is_here = (Path(name) / "cascade.json").exists()
    return pretrained_cascade(str(name)) if str(name) in CASCADES and not is_here else Path(name)
