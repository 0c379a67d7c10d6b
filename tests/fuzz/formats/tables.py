"""Fuzz the files that people write or pass on: manifests, lists and tables of ids, tables of samples, training runs."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import dialects
from damage import Files
from lagem.cli import main
from lagem.evaluation.generation.samples import samples_of
from lagem.latents.selection import read_ids, select_ids
from lagem.sources.data import resolve_data
from lagem.sources.mesh_files import find_meshes
from tries import Format

ROWS = ["file,id,category,split"] + [f"box.obj,box{number},flat,{'val' if number else 'train'}" for number in range(4)]
OBJ = dialects.obj(dialects.box()).encode()


def sound_manifest(_: object) -> Files:
    return {"list.csv": ("\n".join(ROWS) + "\n").encode(), "box.obj": OBJ}


def meshes(folder: Path) -> None:
    """Read a manifest by `find_meshes`; check that ids can be file names, and that no name of a split is empty.

    All other names of splits are allowed, since `lagem prepare` only warns of unknown ones.
    """
    for mesh in find_meshes([folder / "list.csv"], val_share=0.1):
        assert "/" not in mesh.id and mesh.id not in ("", ".", ".."), f"{mesh.id!r} is an id"
        assert mesh.split, "a split without a name"


def evaluate(folder: Path) -> None:
    """Run `lagem evaluate --status` on the meshes that a manifest lists."""
    main(["evaluate", "retrieval", "list.csv", "--output", "out", "--status"])


def references(folder: Path) -> None:
    """Draw points of a listed mesh as `lagem evaluate-generation` does, and check their number."""
    surfaces = resolve_data(folder / "list.csv", seed=0)
    assert len(surfaces.draw(0, 8, np.random.default_rng(0))) == 8, "another number of points"


@cache
def ids() -> Files:
    """Return a table of ids, and a list of some of the ids."""
    table = "uid,faces\n" + "".join(f"shape{number},{number}\n" for number in range(9))
    with TemporaryDirectory() as scratch:
        source = Path(scratch) / "table.csv"
        source.write_text(table)
        select_ids(source, Path(scratch) / "ids.txt", count=4)
        return {name: (Path(scratch) / name).read_bytes() for name in ("table.csv", "ids.txt")}


def select(folder: Path) -> None:
    """Run `lagem select-ids` on a table, first with the ids' column found by its title, then given by its number."""
    main(["select-ids", "table.csv", "--count", "2", "--output", "chosen.txt"])
    read_ids(folder / "chosen.txt")
    main(["select-ids", "table.csv", "--count", "2", "--column", "2", "--output", "chosen.txt"])


def listed(folder: Path) -> None:
    """Read a list of ids, and check that no id has a line end."""
    assert all(id == id.strip("\n") for id in read_ids(folder / "ids.txt")), "an id with a line end"


def sound_samples(_: object) -> Files:
    rows = "index,category,file,reason\n0,chair,0000.obj,\n1,chair,,no surface\n"
    return {"samples/samples.csv": rows.encode(), "samples/0000.obj": OBJ}


def samples(folder: Path) -> None:
    """Read a table of samples, and check that all paths lead into the folder of the table."""
    for sample in samples_of(folder / "samples"):
        inside = sample.path is None or sample.path.resolve().is_relative_to((folder / "samples").resolve())
        assert inside, f"{sample.path} is outside the folder of samples"


def compare(folder: Path) -> None:
    """Run `lagem evaluate-generation` on the samples, with procedural shapes as references."""
    main(["evaluate-generation", "samples", "procedural:0+2", "--points", "16", "--output", "out"])


def report(folder: Path) -> None:
    """Run `lagem report` on the samples."""
    main(["report", "samples"])


def sound_run(_: object) -> Files:
    rows = "epoch,step,train/loss,val/loss\n0,1,0.5,\n0,2,0.25,\n0,2,,0.375\n"
    start = '[{"time": "2026-01-01", "command": "lagem fit", "versions": {"torch": "2.13"}}]'
    config = "seed_everything: 0\ndata: {class_path: OccupancyDataModule, init_args: {root: x}}\n"
    files = {"logs/version_0/metrics.csv": rows, "run.json": start, "config.yaml": config}
    return {f"run/{name}": text.encode() for name, text in files.items()}


def report_of_run(folder: Path) -> None:
    """Run `lagem report` on a training run without checkpoints."""
    main(["report", "run"])


def formats() -> Iterator[Format]:
    """Yield the formats of manifests, id lists, id tables, sample tables and training runs."""
    doors = {"find_meshes": meshes, "evaluate": evaluate, "MeshSurfaces": references}
    yield Format(name="manifest", sound=sound_manifest, doors=doors, targets=r".*\.csv")
    yield Format(
        name="ids.txt", sound=lambda _: dict(ids()), doors={"read_ids": listed}, targets=r".*\.txt", weight=0.4
    )
    yield Format(name="ids.csv", sound=lambda _: dict(ids()), doors={"select-ids": select}, targets=r".*\.csv")
    doors = {"samples_of": samples, "evaluate-generation": compare, "report": report}
    yield Format(name="samples.csv", sound=sound_samples, doors=doors, targets=r".*\.csv", weight=0.7)
    yield Format(name="run", sound=sound_run, doors={"report": report_of_run}, weight=0.4)
