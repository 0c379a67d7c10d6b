"""The table of samples that `lagem generate` writes beside its meshes: what was asked for, and what came of it."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = "samples.csv"
COLUMNS = {"index", "category", "file", "reason"}


@dataclass(frozen=True)
class Sample:
    """One sample.

    id: the folder below the one that is evaluated, where there are several, and the sample's index.
    category: that was asked for; empty where none was.
    path: of the mesh; None where there is none, for the `reason`.
    """

    id: str
    category: str
    path: Path | None
    reason: str = ""


def samples_of(generated: Path) -> list[Sample]:
    """Samples of a folder of `lagem generate`, or of all such folders below one, in the order of their tables.

    Either all samples have a category or none has; ValueError otherwise, and where there is no sample.
    """
    tables = sorted(generated.rglob(TABLE))
    if not tables:
        raise ValueError(f"{generated}: neither it nor a folder below it has a {TABLE}, as `lagem generate` writes it.")
    samples = [sample for table in tables for sample in _read(table, generated)]
    if not samples:
        raise ValueError(f"{generated}: its {TABLE} names no sample.")
    without = [sample.id for sample in samples if not sample.category]
    if 0 < len(without) < len(samples):
        raise ValueError(
            f"{generated}: {len(without)} of {len(samples)} samples have no category, the first is {without[0]}; "
            "evaluate samples with and without a category apart."
        )
    return samples


def _read(table: Path, generated: Path) -> Iterator[Sample]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := COLUMNS - set(rows.fieldnames or ()):
            raise ValueError(f"{table}: lacks the columns {', '.join(sorted(missing))} of `lagem generate`.")
        for row in rows:
            path = table.parent / row["file"] if row["file"] else None
            if path is not None and not path.is_file():
                raise ValueError(f"{table}: names {row['file']}, but the file is not there.")
            id = "/".join([*table.parent.relative_to(generated).parts, f"{int(row['index']):04d}"])
            yield Sample(id=id, category=row["category"] or "", path=path, reason=row["reason"])
