"""Fuzz folders with the weights of a cascade; the hashes in their description may or may not fit the files."""

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator

from containers import unchecked
from damage import Files
from formats.prepared import files_below
from formats.weights import POINTS, stages, tiny_weights
from lagem.cli import main
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.reconstruction.codec import load_codec
from lagem.weights.folder import AUTOENCODER, CONFIG, EARLIER_AUTOENCODER, EARLIER_CONFIG, EARLIER_FORMAT
from tries import Format


@cache
def sound(*, half: bool = False) -> Files:
    """Return the folder cascade/ with the tiny autoencoder and two stages; with `half`, all weights are float16."""
    with TemporaryDirectory() as scratch:
        write_bundle(tiny_weights(), list(stages().values()), Path(scratch) / "cascade", half=half)
        return files_below(Path(scratch))


@cache
def earlier() -> Files:
    """Return the folder that `sound` returns, as earlier versions of lagem wrote it."""
    files = dict(sound())
    config = json.loads(files.pop("cascade/config.json"))
    del config["architecture"]
    config["format"] = EARLIER_FORMAT
    config["sha256"][EARLIER_AUTOENCODER] = config["sha256"].pop(AUTOENCODER)
    files[f"cascade/{EARLIER_AUTOENCODER}"] = files.pop(f"cascade/{AUTOENCODER}")
    return files | {f"cascade/{EARLIER_CONFIG}": json.dumps(config).encode()}


def rehashed(files: Files, rng: Generator) -> Files:
    """Return the files; in most cases, update the hashes in the configuration to match the damaged files.

    The folder then looks as if somebody had changed the files on purpose.
    """
    files = unchecked(files, rng)
    if rng.random() < 0.3:
        return files
    for config in (f"cascade/{CONFIG}", f"cascade/{EARLIER_CONFIG}"):
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            tree = json.loads(files[config])
            for name in list(tree["sha256"]):
                if f"cascade/{name}" in files:
                    tree["sha256"][name] = sha256(files[f"cascade/{name}"]).hexdigest()
            return files | {config: json.dumps(tree).encode()}
    return files


def load(folder: Path) -> None:
    """Read the folder by `load_bundle`, and check that the stages are for two levels."""
    generator = load_bundle(folder / "cascade")
    assert all(len(spec.levels) == 2 for spec in generator.specs), "another number of levels"


def encode(folder: Path) -> None:
    """Encode points by the autoencoder in the folder, and check that the latents have the sizes that it states."""
    codec = load_codec(folder / "cascade")
    latents = codec.encode(np.linspace(-1, 1, 3 * POINTS).reshape(POINTS, 3) ** [1, 2, 3]).levels
    sizes = [(level.num_latents, level.latent_dim) for level in codec.spec.levels]
    assert [tuple(z.shape) for z in latents] == sizes, "latents of other sizes"


def generate(folder: Path) -> None:
    """Run `lagem generate` for one sample."""
    main(["generate", "cascade", "--category", "flat", "--steps", "1", "--resolution", "8", "--output", "samples"])


def formats() -> Iterator[Format]:
    """Yield formats for the description and for the weights, as this and earlier versions of lagem write them."""
    doors = {"load_bundle": load, "generate": generate, "load_codec": encode}

    def now(rng: Generator) -> Files:
        return dict(sound(half=rng.random() < 0.3))

    for name, files, targets in (
        ("config.json", now, r".*\.json"),
        ("bundled weights", now, r".*\.safetensors"),
        ("cascade.json", lambda _: dict(earlier()), r".*\.json"),
        ("earlier weights", lambda _: dict(earlier()), r".*\.safetensors"),
    ):
        yield Format(name=name, sound=files, doors=doors, targets=targets, repair=rehashed, weight=0.7)
