"""The table of samples that `lagem generate` writes: the request for each sample, and its mesh or its failure."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lagem.storage.csv_table import read_csv
from lagem.storage.names import inside

TABLE = "samples.csv"
COLUMNS = ["index", "category", "file", "reason"]


@dataclass(frozen=True)
class Sample:
    """One sample.

    id: path of its folder below the evaluated folder, if there are several, and the sample's index.
    category: as requested; empty if none was requested.
    path: path of the mesh; None if there is none; `reason` says why.
    """

    id: str
    category: str
    path: Path | None
    reason: str = ""


def samples_of(generated: Path) -> list[Sample]:
    """Samples of a folder of `lagem generate`, or of all such folders below one, in the order of their tables.

    Raises:
        ValueError: If there is no sample, or only some samples have a category.
    """
    tables = sorted(generated.rglob(TABLE))
    if not tables:
        raise ValueError(f"{generated}: no {TABLE} in it or in a folder below it; give a folder of `lagem generate`.")
    samples = [sample for table in tables for sample in _read(table, generated)]
    if not samples:
        raise ValueError(f"{generated}: its {TABLE} names no sample.")
    without = [sample.id for sample in samples if not sample.category]
    if 0 < len(without) < len(samples):
        raise ValueError(
            f"{generated}: {len(without)} of {len(samples)} samples have no category, the first is {without[0]}; "
            "evaluate samples with and without a category separately."
        )
    return samples


def _read(table: Path, generated: Path) -> Iterator[Sample]:
    for number, row in enumerate(read_csv(table, COLUMNS), 1):
        path = inside(table.parent, row["file"], source=table, row=number) if row["file"] else None
        if path is not None and not path.is_file():
            raise ValueError(f"{table}: names {row['file']}, but that file does not exist.")
        if not row["index"].isdecimal():
            raise ValueError(f"{table}: {row['index']!r} is no index of a sample; generate the samples again.")
        id = "/".join([*table.parent.relative_to(generated).parts, f"{int(row['index']):04d}"])
        yield Sample(id=id, category=row["category"], path=path, reason=row["reason"])
