"""Finds and removes damaged files of a prepared folder, so that a resumed preparation makes them anew."""

from collections.abc import Collection
from pathlib import Path

from lagem.prepared.shard_file import ShardFile
from lagem.storage.csv_table import read_csv
from lagem.storage.sharded_folder import damage_of


def remove_damaged(root: Path, given: Collection[str], *, every_byte: bool) -> None:
    """Remove damaged shards and damaged files of single shapes, and print a line for each removed file.

    The preparation that calls this function makes the shapes anew.

    Args:
        root: The prepared folder; nobody else may be writing to it.
        given: Ids of the meshes that can be prepared again.
        every_byte: Verify all content of the shards. Otherwise, only their descriptions and small arrays are verified.
            All content of files of single shapes is verified in any case, since they are not flushed to the disk, and
            after a power cut may lack some of their content.

    Raises:
        ValueError: If a damaged file holds a shape whose mesh is not given; the shape would be lost.
    """
    held: dict[str, list[str]] = {}
    if (root / "index.csv").exists():
        for row in read_csv(root / "index.csv", ["id", "shard"]):
            held.setdefault(row["shard"], []).append(row["id"])
    shards, shapes = (sorted((root / folder).glob("*.safetensors")) for folder in ("shards", "shapes"))
    files = [(path, held.get(path.name, []), every_byte) for path in shards]
    files += [(path, [path.stem], True) for path in shapes]
    for path, ids, verify_all in files:
        if not (damage := damage_of(path, ShardFile, every_byte=verify_all)):
            continue
        if lost := sorted(set(ids) - set(given)):
            raise ValueError(
                f"{path}: is damaged, and {len(lost)} of its {len(ids)} shapes cannot be made anew, because their "
                f"meshes were not given, for example {lost[0]!r}; give all meshes, or copy the file again."
            )
        path.unlink()
        print(f"{damage} Removed; its shapes are prepared again.", flush=True)
