"""Bundles of a cascade, with hashes that fit their files or not."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from numpy.random import Generator

from containers import unchecked
from damage import Files
from formats.prepared import files_below
from formats.weights import stages, tiny_weights
from lagem.cli import main
from lagem.generation.bundle import load_bundle, write_bundle
from tries import Format


@cache
def sound() -> Files:
    """A bundle of the tiny autoencoder and its two stages."""
    with TemporaryDirectory() as scratch:
        write_bundle(tiny_weights(), list(stages().values()), Path(scratch) / "cascade")
        return files_below(Path(scratch))


def rehashed(files: Files, rng: Generator) -> Files:
    """Most often the hashes of the damaged files, as somebody would write them who changed a bundle on purpose."""
    files = unchecked(files, rng)
    contents = files.get("cascade/config.json")
    if contents is None or rng.random() < 0.3:
        return files
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        tree = json.loads(contents)
        for name in list(tree["sha256"]):
            if f"cascade/{name}" in files:
                tree["sha256"][name] = sha256(files[f"cascade/{name}"]).hexdigest()
        return files | {"cascade/config.json": json.dumps(tree).encode()}
    return files


def load(folder: Path) -> None:
    """`load_bundle`: a stage for each level."""
    generator = load_bundle(folder / "cascade")
    assert all(len(spec.levels) == 2 for spec in generator.specs), "another number of levels"


def generate(folder: Path) -> None:
    """`lagem generate` of one sample."""
    main(["generate", "cascade", "--category", "flat", "--steps", "1", "--resolution", "8", "--output", "samples"])


def formats() -> Iterator[Format]:
    """The description and the weights of a bundle."""
    doors = {"load_bundle": load, "generate": generate}
    for name, targets in (("config.json", r".*\.json"), ("bundled weights", r".*\.safetensors")):
        yield Format(
            name=name, sound=lambda _: dict(sound()), doors=doors, targets=targets, repair=rehashed, weight=0.7
        )
