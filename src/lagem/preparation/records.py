"""What became of each mesh: one small JSON file while work is under way, a row of table.csv afterwards.

A mesh counts as done when its record is there, and the record is written after the shape's arrays. So a kill
at any moment leaves a mesh either done or to be done again, with the same bytes.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from lagem.preparation.atomic import write_atomically


@dataclass(frozen=True, kw_only=True)
class Record:
    """Outcome of one mesh.

    source: absolute path of its file.
    reason: why it was refused; empty if it was prepared.
    seconds: wall-clock seconds of loading, sampling and labelling.
    """

    id: str
    category: str
    split: str
    source: str
    status: Literal["prepared", "refused"]
    reason: str = ""
    seconds: float = 0.0


def write_record(root: Path, record: Record) -> None:
    """Write the record of one mesh, after its shape if it has one."""
    write_atomically(root / "shapes" / f"{record.id}.json", json.dumps(asdict(record), ensure_ascii=False).encode())


def read_records(root: Path) -> dict[str, Record]:
    """Records by id: those of table.csv, then the newer ones of single meshes."""
    records: dict[str, Record] = {}
    table = root / "table.csv"
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                records[row["id"]] = Record(**{**row, "seconds": float(row["seconds"])})  # type: ignore[arg-type]
    for path in record_files(root):
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
        records[record.id] = record
    return records


def write_table(root: Path, records: dict[str, Record]) -> None:
    """Write table.csv, a row a mesh, sorted by id, and drop the single records that it now holds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Record)], lineterminator="\n")
    writer.writeheader()
    for id in sorted(records):
        writer.writerow({**asdict(records[id]), "seconds": f"{records[id].seconds:.3f}"})
    write_atomically(root / "table.csv", text.getvalue().encode())
    for path in record_files(root):
        path.unlink()


def record_files(root: Path) -> list[Path]:
    """Records not in table.csv yet."""
    return list((root / "shapes").glob("*.json"))
