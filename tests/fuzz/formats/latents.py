"""Fuzz latent caches, latents of one shape, and embeddings of shapes."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.numpy import save

from damage import Files
from formats.prepared import files_below
from formats.weights import tiny_weights
from lagem.cli import main
from lagem.data_modules.latents import LatentDataModule
from lagem.latents.cache import LatentCache
from lagem.reconstruction.codec import load_codec
from lagem.reconstruction.latents import Latents
from tries import Door, Format

DATA = "procedural:3+1"


@cache
def sound() -> Files:
    """Return a latent cache of four shapes, and a file with their embeddings."""
    with TemporaryDirectory() as scratch, redirect_stdout(StringIO()):
        root = Path(scratch)
        encode(root, data=DATA)
        ids = LatentCache(root / "data").ids
        (root / "embeddings.safetensors").write_bytes(save({id: np.ones((2, 3), np.float32) for id in ids}))
        return files_below(root)


def encode(folder: Path, data: str = DATA) -> None:
    """Start or resume the latent cache in `folder`/data with `lagem encode`; if it exists, first print its status."""
    if (folder / "data").exists():
        main(["encode", str(tiny_weights()), data, "--output", str(folder / "data"), "--status"])
    main(["encode", str(tiny_weights()), data, "--output", str(folder / "data"), "--subsets", "2"])


def read(folder: Path) -> None:
    """Read all latents and frames by `LatentCache`, and check that they are finite and have the stated sizes."""
    found = LatentCache(folder / "data")
    for index in range(len(found)):
        for subset in range(found.subsets):
            latents = found.latents(index, subset)
            sizes = [(level.num_latents, level.latent_dim) for level in found.levels]
            assert [z.shape for z in latents] == sizes, "latents of other sizes"
            assert all(np.isfinite(z).all() and z.dtype == np.float32 for z in latents), "latents that are not finite"
        frame = found.frame(index)
        assert np.isfinite(frame.center).all() and 0 < frame.scale < np.inf, "a frame that is not finite"


def train(folder: Path) -> None:
    """Read all samples of the data module, with embeddings as the condition, and check that they are finite."""
    data = LatentDataModule(root=str(folder / "data"), condition=str(folder / "embeddings.safetensors"), num_workers=0)
    data.setup("fit")
    for shapes in (data.train_shapes, data.val_shapes):
        for index in range(len(shapes)):
            sample = shapes[0, index]
            assert all(torch.isfinite(z).all() for z in sample.latents), "latents that are not finite"
            assert sample.condition is not None and sample.condition.shape[-1] == data.condition_dim, "another size"


@cache
def one_shape() -> Files:
    """Return a file with the latents of one shape."""
    codec = load_codec(tiny_weights())
    points = np.random.default_rng(0).normal(size=(64, 3))
    with TemporaryDirectory() as scratch:
        codec.encode(points).save(Path(scratch) / "latents.safetensors")
        return files_below(Path(scratch))


def load(folder: Path) -> None:
    """Load the latents of a shape, decode them, and check that the mesh is finite."""
    latents = Latents.load(folder / "latents.safetensors")
    codec = load_codec(tiny_weights())
    mesh = codec.decode(latents, resolution=8)
    assert np.isfinite(mesh.vertices).all(), "vertices that are not finite"


def formats() -> Iterator[Format]:
    """Yield a format for each kind of file in a cache, for embeddings, and for the latents of one shape."""
    doors: dict[str, Door] = {"LatentCache": read, "LatentDataModule": train, "encode, resumed": encode}
    for name, targets in (
        ("latent shards", r"data/shards/.*"),
        ("latent index", r"data/.*\.csv"),
        ("latent format", r"data/format\.json"),
    ):
        yield Format(name=name, sound=lambda _: dict(sound()), doors=doors, targets=targets, weight=0.7)
    yield Format(
        name="embeddings",
        sound=lambda _: dict(sound()),
        doors={"LatentDataModule": train},
        targets="embeddings.*",
        weight=0.3,
    )
    yield Format(name="latents", sound=lambda _: dict(one_shape()), doors={"Latents.load": load}, weight=0.5)
