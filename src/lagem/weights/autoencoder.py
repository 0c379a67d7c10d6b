"""Save, load and import an autoencoder's weights, never running code from a file."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import OCTAVES
from lagem.weights.file import WeightsError as WeightsError
from lagem.weights.file import read_weights, write_weights

FORMAT = "lagem-autoencoder-1"


def describe_autoencoder(autoencoder: Autoencoder, *, num_surface_points: int) -> dict[str, Any]:
    """Architecture in plain types: what `load_autoencoder` builds the network from."""
    return {
        "format": FORMAT,
        "levels": [asdict(level) for level in autoencoder.levels],
        "width": autoencoder.width,
        "skip": autoencoder.skip,
        "octaves": autoencoder.octaves,
        "num_surface_points": num_surface_points,
    }


def save_autoencoder(
    autoencoder: Autoencoder, path: str | Path, *, num_surface_points: int, half: bool = False
) -> None:
    """Write weights and architecture to one safetensors file, atomically.

    Args:
        autoencoder: The network.
        path: File to write.
        num_surface_points: N the network was trained with, the default when it is used.
        half: Store float16.
    """
    description = describe_autoencoder(autoencoder, num_surface_points=num_surface_points)
    write_weights(autoencoder, path, kind="autoencoder", description=description, half=half)


def load_autoencoder(path: str | Path) -> tuple[Autoencoder, int]:
    """Read an autoencoder from a Lightning checkpoint or from our safetensors file.

    From a checkpoint of a run with weight averaging these are the averaged weights.

    Returns:
        The network in evaluation mode, and N, the number of surface points it was trained with.

    Raises:
        WeightsError: Where the file is absent, unreadable or of another kind.
    """
    file = read_weights(path, kind="autoencoder", format=FORMAT)
    description = file.description
    levels = [LevelSpec(**level) for level in description["levels"]]
    autoencoder = Autoencoder(
        levels=levels,
        width=description["width"],
        skip=description["skip"],
        octaves=description.get("octaves", OCTAVES),  # older files do not say
    )
    file.load_into(autoencoder)
    return autoencoder.eval(), description["num_surface_points"]
