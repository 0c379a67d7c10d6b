"""Downloads a collection of meshes, and writes a manifest of them for `lagem prepare`; called by `lagem download`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from lagem.downloads.collection import Collection, DownloadedMesh
from lagem.downloads.objaverse import Objaverse
from lagem.downloads.thingi10k import Thingi10K
from lagem.latents.selection import read_ids
from lagem.progress import long_progress
from lagem.storage.csv_table import write_csv
from lagem.storage.names import printable

COLLECTIONS: Sequence[type[Collection]] = (Objaverse, Thingi10K)
LISTED = 12  # licences that are printed


def download(name: str, output: Path, *, ids: Path | None) -> None:
    """Download meshes, write a manifest of them, and print their licences.

    Args:
        name: Name of a collection.
        output: The manifest to write: a .csv table with the columns id, file, category, license and author.
        ids: A list that `lagem select-ids` wrote; only its meshes are downloaded. None for all.

    Raises:
        ValueError: If `output` is not a .csv file, or the collection cannot be downloaded or has none of the ids.
    """
    collection = _collection(name)
    wanted = collection.ids() if ids is None else read_ids(ids)
    _check_table(output)
    with long_progress() as progress:
        task = progress.add_task("downloading", total=len(wanted))
        found = []
        for mesh in collection.fetch(wanted):
            found.append(mesh)
            progress.advance(task)
    if not found:
        raise ValueError(f"{name}: has none of the {len(wanted)} given ids, such as {wanted[0]!r}; give ids of {name}.")
    write_csv(output, [field.name for field in fields(DownloadedMesh)], map(astuple, found))
    if len(found) < len(wanted):
        print(f"{len(wanted) - len(found)} of {len(wanted)} ids are not in {name}")
    licences = Counter(mesh.license or "none given" for mesh in found).most_common()
    shown = ", ".join(f"{licence} ({count})" for licence, count in licences[:LISTED])
    more = f", and {len(licences) - LISTED} more" if len(licences) > LISTED else ""
    print(printable(f"licences, which bind you: {shown}{more}"))
    print(f"{len(found)} meshes are on the disk; {output} lists them with licences and authors")


def list_ids(name: str, output: Path) -> None:
    """Write the ids of all meshes of a collection to a .csv table, from which `lagem select-ids` chooses."""
    _check_table(output)
    ids = _collection(name).ids()
    write_csv(output, ["id"], ([id] for id in ids))
    print(f"{len(ids)} ids of {name}: {output}")


def _collection(name: str) -> Collection:
    return next(kind for kind in COLLECTIONS if kind.name == name)()


def _check_table(output: Path) -> None:
    if output.suffix.lower() != ".csv":
        raise ValueError(f"{output}: the table is written as CSV; give a name that ends in .csv.")
    output.parent.mkdir(parents=True, exist_ok=True)
