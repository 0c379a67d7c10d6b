"""Read the table that `lagem generate` writes: each sample's requested category, and its mesh or why it has none."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lagem.storage.checked.digest import sha256_of
from lagem.storage.csv_table import read_csv
from lagem.storage.names import inside

TABLE = "samples.csv"
COLUMNS = ["index", "category", "file", "reason"]


@dataclass(frozen=True)
class Sample:
    """One row of the table that `lagem generate` writes.

    id: index of the sample. If the table is in a subfolder of the evaluated folder, the path of the subfolder precedes
        the index.
    folder: folder of the table.
    category: the requested category; empty if none was requested.
    path: path of the mesh; None if there is no mesh.
    reason: why there is no mesh; empty if there is one.
    seed: seed of the sample's noise; empty if the table does not state it.
    """

    id: str
    folder: Path
    category: str
    path: Path | None
    reason: str = ""
    seed: str = ""


def samples_of(generated: Path) -> list[Sample]:
    """Return the samples that `lagem generate` wrote to a folder and to its subfolders, table by table.

    Raises:
        ValueError: If there is no sample, or only some samples have a category.
    """
    tables = sorted(generated.rglob(TABLE))
    if not tables:
        raise ValueError(
            f"{generated}: no {TABLE} in this folder or its subfolders; give a folder that `lagem generate` wrote."
        )
    samples = [sample for table in tables for sample in _read(table, generated)]
    if not samples:
        raise ValueError(f"{generated}: {TABLE} lists no samples; generate samples again.")
    without = [sample.id for sample in samples if not sample.category]
    if 0 < len(without) < len(samples):
        raise ValueError(
            f"{generated}: {len(without)} of {len(samples)} samples have no category, for example {without[0]}; "
            "evaluate samples with and without a category separately."
        )
    return samples


def sha256_of_tables(generated: Path) -> str:
    """Return a SHA-256 that identifies the samples in a folder and its subfolders.

    It is that of the lines `<SHA-256 of a table> <path of the table>`. A table states the seeds of its samples and the
    sizes of their meshes.
    """
    tables = sorted(generated.rglob(TABLE))
    lines = (f"{sha256_of(table)} {table.relative_to(generated).as_posix()}\n" for table in tables)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(table: Path, generated: Path) -> Iterator[Sample]:
    for number, row in enumerate(read_csv(table, COLUMNS), 1):
        path = inside(table.parent, row["file"], source=table, row=number) if row["file"] else None
        if path is not None and not path.is_file():
            raise ValueError(f"{table}: names {row['file']}, which does not exist; generate the samples again.")
        if not row["index"].isdecimal():
            raise ValueError(f"{table}: {row['index']!r} is not the index of a sample; generate the samples again.")
        id = "/".join([*table.parent.relative_to(generated).parts, f"{int(row['index']):04d}"])
        yield Sample(
            id=id,
            folder=table.parent,
            category=row["category"],
            path=path,
            reason=row["reason"],
            seed=row.get("seed", ""),
        )
