"""Small weights that ship with the package, each with a model card: training data, scores and licence."""

from importlib import resources
from pathlib import Path

__all__ = ["AUTOENCODERS", "CASCADES", "pretrained_autoencoder", "pretrained_cascade"]

AUTOENCODERS = ("autoencoder", "large")
CASCADES = ("furniture", "meshes")


def pretrained_autoencoder(name: str = "autoencoder") -> Path:
    """Return the path of a pretrained autoencoder, a safetensors file in half precision.

    There are two, both trained on real meshes: `autoencoder` on a CPU, and `large` on a GPU. `large` scores better, but
    the cascade `meshes` uses `autoencoder`. Next to the file, `<name>.md` is its model card.
    """
    return Path(str(resources.files(__name__) / f"{name}.safetensors"))


def pretrained_cascade(name: str = "furniture") -> Path:
    """Return the folder of the cascade `furniture` or `meshes`, in half precision.

    Next to the folder, `<name>.md` is its model card.
    """
    return Path(str(resources.files(__name__) / name))
