"""Damaged files of a prepared folder: found when the folder is resumed, and removed, so that they are made anew."""

from collections.abc import Collection
from pathlib import Path

from lagem.prepared.shard_file import ShardFile
from lagem.storage.csv_table import read_csv
from lagem.storage.sharded_folder import damage_of


def remove_damaged(root: Path, given: Collection[str], *, every_byte: bool) -> None:
    """Remove damaged shards, whose shapes are then prepared again, and print a line for each.

    Args:
        root: The prepared folder; nobody else is writing to it.
        given: Ids of the meshes that can be prepared again.
        every_byte: Verify all content, and the shapes that are not packed yet; else only what is read when a shard is
            opened, which is its description and its small arrays.

    Raises:
        ValueError: If a damaged shard holds a shape that is not given, which would be lost.
    """
    held: dict[str, list[str]] = {}
    if (root / "index.csv").exists():
        for row in read_csv(root / "index.csv", ["id", "shard"]):
            held.setdefault(row["shard"], []).append(row["id"])
    files = sorted((root / "shards").glob("*.safetensors"))
    for path in [*files, *(sorted((root / "shapes").glob("*.safetensors")) if every_byte else [])]:
        if not (damage := damage_of(path, ShardFile, every_byte=every_byte)):
            continue
        ids = held.get(path.name, [])
        if lost := sorted(set(ids) - set(given)):
            raise ValueError(
                f"{path}: damaged, and {len(lost)} of its {len(ids)} shapes are not among the given meshes, for "
                f"example {lost[0]!r}; give all meshes to make it anew, or copy it again."
            )
        path.unlink()
        print(f"{damage} Removed; its shapes are prepared again.", flush=True)
