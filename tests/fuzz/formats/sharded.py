"""Fuzz sharded checkpoints, which are folders that torch.distributed.checkpoint writes."""

import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from numpy.random import Generator

from containers import pickled_code
from damage import Files
from formats.prepared import files_below
from formats.weights import tiny_autoencoder
from lagem.weights.sharded import load_sharded
from tries import Format, in_file


def state(factor: float) -> dict[str, Any]:
    """Return some weights and the state of an optimiser; `factor` scales the weights and the learning rate."""
    weights = tiny_autoencoder().state_dict()
    return {
        "state_dict": {name: factor * tensor for name, tensor in list(weights.items())[:6]},
        "optimizer_0": {"param_groups": [{"lr": 0.25 * factor, "betas": (0.5, 0.75), "params": ["weight"]}]},
    }


@cache
def sound() -> Files:
    """Return the files of a sharded checkpoint that a training on one rank saved."""
    with TemporaryDirectory() as scratch, warnings.catch_warnings(action="ignore"):
        dcp.save(state(1.0), checkpoint_id=Path(scratch) / "last.ckpt", no_dist=True)
        return files_below(Path(scratch))


def in_folder(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage a file, or replace its content by pickled code."""
    return pickled_code(rng) if rng.random() < 0.1 else in_file(name, data, rng, other)


def load(folder: Path) -> None:
    """Load the checkpoint as a resumed training on several GPUs does, and check that the weights are tensors."""
    found = state(0.0)
    load_sharded(found, folder / "last.ckpt")
    assert all(torch.is_tensor(tensor) for tensor in found["state_dict"].values()), "weights that are no tensors"


def formats() -> Iterator[Format]:
    """Yield the format of sharded checkpoints."""
    yield Format(name="sharded", sound=lambda _: dict(sound()), doors={"load_sharded": load}, damage=in_folder)
