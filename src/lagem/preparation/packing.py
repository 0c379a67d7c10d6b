"""Prepared shapes → shards and index: a step of its own that may be killed or repeated at any time.

The result depends on the shapes alone: those of each split are sorted by id and cut into runs of `shapes_per_shard`,
so that a validation reads no shard of shapes to train on. A shard is named by its number and a hash of its ids, so
packing after new meshes were added writes only the shards that change. index.csv names the valid shards; replacing it
is the one moment at which the new state holds. A shape's own file goes when the shard that holds it is on the disk, an
old shard goes when no index names it any more.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import track

from lagem.prepared.quantisation import POOLS
from lagem.prepared.records import Record, read_records, write_table
from lagem.prepared.shard_file import OCCUPANCY, ShardFile, write_shard
from lagem.storage.atomic import remove_leftovers, write_text
from lagem.storage.csv_table import csv_table
from lagem.storage.sharded_folder import shard_name
from lagem.storage.stored_folder import LocalFolder

COLUMNS = ["id", "category", "split", "shard", "row", "faces", "inside_share", *POOLS]


def pack(root: str | Path) -> None:
    """Pack every finished shape of a prepared folder into shards, and write index.csv and table.csv.

    Args:
        root: The folder; its format.json says how many shapes a shard takes.
    """
    root = Path(root)
    per_shard: int = OCCUPANCY.read(LocalFolder(root))["settings"]["shapes_per_shard"]
    shapes, shards = root / "shapes", root / "shards"
    for folder in (root, shapes, shards):
        folder.mkdir(exist_ok=True)
        remove_leftovers(folder)

    records = read_records(root)
    located = locate(root, records)
    names, runs = [], runs_of(located, per_shard)
    for number, members in enumerate(track(runs, "packing", transient=True, disable=len(runs) < 2)):
        names.append(shard_name(number, members))
        path = shards / names[-1]
        if not path.exists():
            files = {file: ShardFile(file) for file in {located[id].file for id in members}}
            write_shard(path, [files[located[id].file].shape(located[id].row) for id in members])
        for id in members:
            (shapes / f"{id}.safetensors").unlink(missing_ok=True)
    write_text(root / "index.csv", index_of(shards, names))
    for stale in {path.name for path in shards.glob("*.safetensors")} - set(names):
        (shards / stale).unlink()
    write_table(root, records)
    for given_up in shapes.glob("*.safetensors"):  # its process was stopped between the shape and its record
        given_up.unlink()


class Place(NamedTuple):
    """Where a shape lies, and its split."""

    file: Path
    row: int
    split: str


def runs_of(located: Mapping[str, Place], per_shard: int) -> list[list[str]]:
    """Ids of the shapes of each shard: split by split, sorted within each."""
    by_split: dict[str, list[str]] = {}
    for id in sorted(located):
        by_split.setdefault(located[id].split, []).append(id)
    return [
        ids[first : first + per_shard] for _, ids in sorted(by_split.items()) for first in range(0, len(ids), per_shard)
    ]


def locate(root: Path, records: dict[str, Record], ids: Iterable[str] | None = None) -> dict[str, Place]:
    """Where each shape lies: in a shard of the index, in another whole shard, or in a file of its own.

    A packing that was killed leaves shards that no index names yet; a shape may then lie in two places, alike.
    A file of its own counts once the shape's record says that it is prepared; where `ids` are given, files of these
    alone are looked for.
    """
    located: dict[str, Place] = {}
    indexed: set[str] = set()
    there = {path.name for path in (root / "shards").glob("*.safetensors")}  # one that was damaged may be removed
    if (root / "index.csv").exists():
        with (root / "index.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                indexed.add(row["shard"])
                if row["shard"] in there:
                    located[row["id"]] = Place(root / "shards" / row["shard"], int(row["row"]), row["split"])
    for name in there - indexed:
        shard = ShardFile(path := root / "shards" / name)
        for number, (id, split) in enumerate(zip(shard.ids, shard.splits, strict=True)):
            located.setdefault(id, Place(path, number, split))
    own = None if ids is None else (root / "shapes" / f"{id}.safetensors" for id in ids)
    for path in (root / "shapes").glob("*.safetensors") if own is None else filter(Path.exists, own):
        id = path.name.removesuffix(".safetensors")
        if id in records and records[id].status == "prepared":
            located.setdefault(id, Place(path, 0, records[id].split))
    return located


def index_of(shards: Path, names: list[str]) -> str:
    """Text of index.csv: one row a shape, sorted by id."""
    rows: list[list[Any]] = []
    for name in names:
        shard = ShardFile(shards / name)
        for row, id in enumerate(shard.ids):
            share = shard.count(row, "volume_inside") / shard.volume_drawn(row)[0]
            counts = [shard.count(row, pool) for pool in POOLS]
            words = [id, shard.categories[row], shard.splits[row], name]
            rows.append([*words, row, int(shard.faces[row]), f"{share:.6f}", *counts])
    return csv_table(COLUMNS, sorted(rows))
