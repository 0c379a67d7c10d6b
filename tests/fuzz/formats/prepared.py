"""Fuzz prepared folders: shards, index.csv, table.csv, the records of single shapes, and format.json."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import trimesh

from damage import Files
from formats.weights import tiny_weights
from lagem.cli import main
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.geometry.mesh import Mesh
from lagem.preparation import pipeline
from lagem.preparation.settings import Settings
from lagem.prepared.inspection import inspect_folder
from lagem.prepared.inspection_report import show
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shards import Shards, labelled
from lagem.storage.parts import Part
from preparation_here import run_in_this_process
from tries import Door, Format

SETTINGS = Settings(surface=60, volume=60, near=20, inside=4, shapes_per_shard=2)


@cache
def sound() -> Files:
    """Return four meshes and their prepared folder, in which three are packed into shards and the fourth is not yet."""
    rows = ["file,id,category,split"]
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "meshes").mkdir()
        for number in range(4):
            box = trimesh.creation.box(extents=(1, 0.2 + 0.1 * number, 0.5))
            Mesh(box.vertices, box.faces).save(root / f"meshes/{number}.obj")
            rows.append(
                f"{number}.obj,box{number},{'tall' if number % 2 else 'flat'},{'val' if number > 1 else 'train'}"
            )
        for last, part in ((-1, None), (None, Part(0, 1))):
            (root / "meshes/list.csv").write_text("\n".join(rows[:last]) + "\n")
            prepare(root, part)
        return files_below(root)


def prepare(root: Path, part: Part | None = None) -> None:
    """Prepare the meshes as `lagem prepare` does, but without child processes."""
    with mock.patch.object(pipeline, "run_in_processes", run_in_this_process):
        pipeline.prepare([root / "meshes/list.csv"], root / "data", SETTINGS, part=part)


def files_below(root: Path) -> Files:
    """Return the content of every file below a folder, by relative path; lock files are left out."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def read(folder: Path) -> None:
    """Read every shape by `Shards`; check the types, sizes and ranges of its points and its other values."""
    shards = Shards(folder / "data")
    for index in range(len(shards)):
        assert all(type(texts[index]) is str for texts in (shards.ids, shards.categories, shards.splits)), "not a text"
        for pool in POOLS:
            count = shards.count(index, pool)
            assert count >= 0, "a negative count"
            if count:
                points = shards.read(index, pool, 1, count + 2)
                assert points.shape == (count + 2, 3) and points.dtype == np.float32, "a pool of another size or type"
                assert np.abs(points).max() < 1.8, "a point outside the ball"
        frame = shards.frame(index)
        assert np.isfinite(frame.center).all() and 0 < frame.scale < np.inf, "a frame that is not finite"
        assert min(shards.volume_drawn(index)) >= 0, "a negative number of draws"
        labelled(shards, index, "near")


def train(folder: Path) -> None:
    """Read all samples and references of the data module, and check that the samples are finite."""
    data = OccupancyDataModule(
        root=str(folder / "data"), num_surface_points=16, num_volume_queries=8, num_near_queries=8, num_workers=0
    )
    data.setup("fit")
    for shapes in (data.train_shapes, data.val_shapes):
        for index in range(len(shapes)):
            assert np.isfinite(shapes[0, index].surface_points.numpy()).all(), "points that are not finite"
            shapes.reference(index)


def inspect(folder: Path) -> None:
    """Inspect the prepared folder as `lagem inspect` does, but write no files."""
    show(inspect_folder(folder / "data", judged=2))


def encode(folder: Path) -> None:
    """Run `lagem encode` on the prepared folder."""
    main(["encode", str(tiny_weights()), "data", "--output", "out", "--subsets", "1"])


def select(folder: Path) -> None:
    """Run `lagem select-ids` on the prepared folder."""
    main(["select-ids", "data", "--count", "1", "--output", "ids.txt"])


def status(folder: Path) -> None:
    """Run `lagem prepare --status`, and `lagem evaluate --status` for the retrieval baseline."""
    main(["prepare", "meshes/list.csv", "--output", "data", "--status"])
    main(["evaluate", "retrieval", "data", "--output", "out", "--status"])


def evaluate(folder: Path) -> None:
    """Run `lagem evaluate` for the retrieval baseline, which searches for the nearest training shapes."""
    main(["evaluate", "retrieval", "data", "--output", "out", "--points", "16", "--part", "0/1"])


def formats() -> Iterator[Format]:
    """Yield a format for each kind of file in a prepared folder."""
    doors: dict[str, Door] = {
        "Shards": read,
        "OccupancyDataModule": train,
        "inspect": inspect,
        "encode": encode,
        "select-ids": select,
        "status": status,
        "evaluate": evaluate,
        "prepare, resumed": prepare,
    }
    for name, targets in (
        ("shards", r"data/sh.*\.safetensors"),
        ("index.csv", r"data/index\.csv"),
        ("table.csv", r"data/table\.csv|data/shapes/.*\.json"),
        ("format.json", r"data/format\.json"),
    ):
        yield Format(name=name, sound=lambda _: dict(sound()), doors=doors, targets=targets)
