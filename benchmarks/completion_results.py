"""The results of benchmarks/completion.py on the disk: one JSON file for each shape, so that a stopped run resumes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lagem.generation.generator import CascadedGenerator
from lagem.storage.atomic import write_json
from lagem.weights.fingerprint import fingerprint_of


class Results:
    """The shapes that are measured so far.

    Args:
        output: The folder.
        settings: What the results depend on, besides the shape.

    Raises:
        ValueError: If the folder holds results of other settings.
    """

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self._folder = output / "shapes"
        stated = output / "settings.json"
        if stated.exists() and json.loads(stated.read_text()) != settings:
            raise ValueError(f"{output}: holds results of other settings or weights; give another --output.")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(stated, settings)

    def has(self, id: str) -> bool:
        """Return whether a shape is measured."""
        return self._path(id).exists()

    def add(self, row: dict[str, Any]) -> None:
        """Write the results of a shape; its id is `row["id"]`."""
        self._path(row["id"]).parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path(row["id"]), row)

    def read(self, id: str) -> dict[str, Any]:
        """Return the results of a shape."""
        return json.loads(self._path(id).read_text())

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"


def digest_of(generator: CascadedGenerator) -> str:
    """Return a digest of all weights of a cascade."""
    digest = hashlib.blake2b(fingerprint_of(generator.codec.autoencoder).encode(), digest_size=8)
    for denoiser in generator.denoisers:
        for name, tensor in sorted(denoiser.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()
