"""Packing of prepared shapes into shards with an index: a separate step that may be killed and repeated at any time.

The result depends on the shapes alone. The shapes of each split are sorted by id and divided into groups of
`shapes_per_shard`, and each group becomes a shard. So no shard holds both training and validation shapes. A shard is
named by its number and a hash of its ids, so if meshes are added, only the shards that change are written. index.csv
names the valid shards, and replacing this file makes the new state valid at once. Until a shape is packed, it has a
separate file in shapes/. This file is removed once a shard that contains the shape is on the disk. An old shard is
removed once index.csv does not name it.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lagem.prepared.quantisation import POOLS
from lagem.prepared.records import Record, read_records, write_table
from lagem.prepared.shard_file import OCCUPANCY, ShapeArrays, ShardFile, write_shard
from lagem.progress import long_progress
from lagem.storage.atomic import remove_leftovers
from lagem.storage.csv_table import read_csv, write_csv
from lagem.storage.names import check_own_folder, checked_name, inside
from lagem.storage.sharded_folder import shard_name
from lagem.storage.stored_folder import LocalFolder

COLUMNS = ["id", "category", "split", "shard", "row", "faces", "inside_share", *POOLS]


def pack(root: str | Path) -> dict[str, Record]:
    """Pack every finished shape of a prepared folder into shards, and write index.csv and table.csv.

    Args:
        root: The folder; its format.json states the number of shapes per shard.

    Returns:
        The records of all meshes of the folder, by id.
    """
    root = Path(root)
    per_shard = OCCUPANCY.read(LocalFolder(root)).object("settings").integer("shapes_per_shard", at_least=1)
    shapes, shards = root / "shapes", root / "shards"
    for folder in (root, shapes, shards):
        folder.mkdir(exist_ok=True)
        if folder != root:
            check_own_folder(folder)
        remove_leftovers(folder)

    records = read_records(root)
    located = locate(root, records)
    names, runs = [], runs_of(located, per_shard)
    with long_progress() as progress:
        for number, members in enumerate(progress.track(runs, description="packing") if len(runs) > 1 else runs):
            names.append(shard_name(number, members))
            path = shards / names[-1]
            if not inside(root, f"shards/{path.name}").exists():
                files = {file: ShardFile(root / file) for file in {located[id].file for id in members}}
                write_shard(path, [shape_at(files[located[id].file], located[id].row, id) for id in members])
            elif ShardFile(path).ids != members:
                raise ValueError(f"{path}: its shapes do not match its name; remove it, and run `lagem prepare` again.")
            for id in members:
                (shapes / f"{id}.safetensors").unlink(missing_ok=True)
    write_csv(root / "index.csv", COLUMNS, index_rows(shards, names))
    for stale in {path.name for path in shards.glob("*.safetensors")} - set(names):
        (shards / stale).unlink()
    write_table(root, records)
    for unrecorded in shapes.glob("*.safetensors"):  # left by processes that were stopped before they wrote the record
        unrecorded.unlink()
    return records


class Location(NamedTuple):
    """The file that holds a shape, the shape's row in this file, and the shape's split.

    file: path relative to the prepared folder. It is a str, because a million `Path` objects would take much memory.
    """

    file: str
    row: int
    split: str


def runs_of(located: Mapping[str, Location], per_shard: int) -> list[list[str]]:
    """Divide shapes into shards, and return the ids in each shard. A shard has shapes of one split, sorted by id."""
    by_split: dict[str, list[str]] = {}
    for id in sorted(located):
        by_split.setdefault(located[id].split, []).append(id)
    return [
        ids[first : first + per_shard] for _, ids in sorted(by_split.items()) for first in range(0, len(ids), per_shard)
    ]


def locate(root: Path, records: dict[str, Record], ids: Iterable[str] | None = None) -> dict[str, Location]:
    """Find where each shape is stored: in a shard of the index, in another complete shard, or in its own file.

    If packing was killed, there may be shards that the index does not name, and a shape may be stored twice, with the
    same content. A shape's own file counts only if the record of the shape says that the shape is prepared.

    Args:
        root: The prepared folder.
        records: The records by id.
        ids: Ids of the shapes whose own files are searched for; None for all.

    Returns:
        The location of each shape, by id.
    """
    located: dict[str, Location] = {}
    indexed: set[str] = set()
    # a user may have removed a damaged shard
    there = {path.name: f"shards/{path.name}" for path in (root / "shards").glob("*.safetensors")}
    if (index := root / "index.csv").exists():
        for number, row in enumerate(read_csv(index, ["id", "split", "shard", "row"]), 1):
            id, name = (checked_name(row[title], index, row=number) for title in ("id", "shard"))
            if not row["row"].isdecimal():
                raise ValueError(
                    f"{index}: row {number}: the column `row` holds {row['row'][:40]!r}, which is not a number; remove "
                    "index.csv, and prepare again."
                )
            if name not in indexed:
                inside(root, f"shards/{name}", source=index, row=number)
                indexed.add(name)
            if name in there:
                located[id] = Location(there[name], int(row["row"]), sys.intern(row["split"]))
    for name in there.keys() - indexed:
        shard = ShardFile(path := inside(root, there[name]))
        for number, (id, split) in enumerate(zip(shard.ids, shard.splits, strict=True)):
            located.setdefault(checked_name(id, path, row=number), Location(there[name], number, split))
    own = None if ids is None else (root / "shapes" / f"{id}.safetensors" for id in ids)
    for path in (root / "shapes").glob("*.safetensors") if own is None else filter(Path.exists, own):
        id = path.name.removesuffix(".safetensors")
        if id in records and records[id].status == "prepared":
            inside(root, file := f"shapes/{path.name}")
            located.setdefault(id, Location(file, 0, records[id].split))
    return located


def shape_at(shard: ShardFile, row: int, id: str) -> ShapeArrays:
    """Read the shape in a row of a shard; raises ValueError if it has another id than `id`.

    The check matters because packing later removes the file from which the shape is read: an old shard, or the shape's
    own file.
    """
    if row >= len(shard.ids) or shard.ids[row] != id:
        raise ValueError(
            f"{shard.path}: index.csv says that row {row} is {id!r}, but it is not; remove index.csv and prepare again."
        )
    return shard.shape(row)


def index_rows(shards: Path, names: list[str]) -> list[tuple[Any, ...]]:
    """Return the rows of index.csv: one per shape in the shards of the given names, sorted by id."""
    rows: list[tuple[Any, ...]] = []
    for name in names:
        shard = ShardFile(shards / name)
        for row, id in enumerate(shard.ids):
            inside = shard.count(row, "volume_inside") / shard.volume_drawn(row)[0]
            counts = [shard.count(row, pool) for pool in POOLS]
            texts = [id, sys.intern(shard.categories[row]), sys.intern(shard.splits[row]), name]
            rows.append((*texts, row, int(shard.faces[row]), f"{inside:.6f}", *counts))
    return sorted(rows)
