"""Records that state for each mesh whether it was prepared or refused, and what was measured.

While meshes are prepared, each record is a small JSON file; packing turns the records into rows of table.csv. A mesh is
done once its record exists, and the record is written after the shape's arrays. So after a kill at any moment, a mesh
is either done or will be prepared again, with the same bytes.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from lagem.geometry.files.loading import GLTF_ENDINGS
from lagem.storage.atomic import write_json
from lagem.storage.checked.description import read_description
from lagem.storage.csv_table import read_csv, write_csv
from lagem.storage.failures import failures_named
from lagem.storage.names import NameRefused, checked_name, regular


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """What was measured on a mesh while it was prepared. Lengths are in unit-sphere units.

    route: `own` if the source's own surface was used, else the conversion that closed it (`flood`, `manifold`).
    faces, solid_faces: number of faces of the source, and of the closed mesh.
    area: area of the surface that bounds the solid.
    inside_share: unbiased estimate of the fraction of the ball of queries that is inside the solid.
    volume_inside, near_inside: number of volume queries inside, and of near queries inside.
    error_mean, error_p99: mean and 99th percentile of the distance to the closed mesh from that part of the source's
        surface that is visible from outside.
    sheet_share: fraction of the closed mesh's vertices that thicken open sheets.
    dropped_share: fraction of a surface's area that was dropped: of the source's surface if the route is `own`,
        otherwise of the closed mesh's. A region is dropped if both of its sides are inside or both are
        outside. A doubled face counts once.
    """

    route: str
    faces: int
    solid_faces: int
    area: float
    inside_share: float
    volume_inside: int
    near_inside: int
    error_mean: float
    error_p99: float
    sheet_share: float
    dropped_share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The result of the preparation of one mesh, which was either prepared or refused.

    source: absolute path of the mesh file.
    reason: why the mesh was refused; empty if it was prepared.
    measures: None if the mesh was refused, or if table.csv was lost and only the shape remained.
    seconds: wall-clock time from loading the mesh to writing its shape, or the time limit if it was exceeded; 0 if the
        time is not known.
    """

    id: str
    category: str
    split: str
    source: str
    status: Literal["prepared", "refused"]
    reason: str = ""
    measures: Measures | None = None
    seconds: float = 0.0


MEASURES = get_type_hints(Measures)
COLUMNS = ["id", "category", "split", "source", "status", "reason", *MEASURES, "seconds"]


def write_record(root: Path, record: Record) -> None:
    """Write the record of one mesh, without a flush; if the mesh was prepared, its shape must already be written."""
    write_json(root / "shapes" / f"{record.id}.json", asdict(record), flush=False)


def read_records(root: Path, ids: Iterable[str] | None = None) -> dict[str, Record]:
    """Read the records in table.csv and those in files of their own, which are newer.

    Args:
        root: The prepared folder.
        ids: Ids of the records whose own files are read; None for all. The whole table is read in any case.

    Returns:
        The records by id. A record that a power cut left incomplete counts as missing.

    Raises:
        ValueError: If the table or the file of a record is damaged.
    """
    records: dict[str, Record] = {}
    table = root / "table.csv"
    if table.exists():
        try:
            for number, row in enumerate(read_csv(table, COLUMNS), 1):
                records[checked_name(row["id"], table, row=number)] = _from_row(row)
        except NameRefused:
            raise
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{table}: is damaged, or was written by another version of lagem ({type(error).__name__}: {error}); "
                "remove it to resume. The meshes that it lists as refused will be tried again."
            ) from None
    named = None if ids is None else (root / "shapes" / f"{id}.json" for id in ids)
    for path in record_files(root) if named is None else filter(Path.exists, named):
        if _is_incomplete(path):
            continue
        about = read_description(path, remedy="remove it, and run `lagem prepare` again")
        measures = about.optional(about.object, "measures")
        record = about.as_dataclass(Record)
        if measures is not None:
            record = replace(record, measures=measures.as_dataclass(Measures))
        if record.id != path.stem:
            raise ValueError(
                f"{path}: is the record of {record.id!r}, which does not match the file name; remove the file."
            )
        records[record.id] = record
    return records


def write_table(root: Path, records: dict[str, Record]) -> None:
    """Write table.csv with one row per mesh, sorted by id, and remove the records' own files."""
    by_name = (_as_row(records[id]) for id in sorted(records))
    write_csv(root / "table.csv", COLUMNS, ([row.get(name) for name in COLUMNS] for row in by_name))
    for path in record_files(root):
        path.unlink()


def mixed_axes(files: Iterable[str]) -> str:
    """Return a warning if only some of these files of shapes are glTF files, in which y points up; else nothing."""
    of_gltf = [Path(file).suffix.lower() in GLTF_ENDINGS for file in files]
    if all(of_gltf) or not any(of_gltf):
        return ""
    return (
        f"{sum(of_gltf)} of {len(of_gltf)} shapes come from glTF files, which are y-up. The other files do not say "
        "which axis points up. If it is z, prepare all shapes into a new folder with --up z, which turns the glTF "
        "files; if it is y, with --up y."
    )


def record_files(root: Path) -> Iterator[Path]:
    """Yield the paths of the JSON files that hold one record each; packing turns them into rows of table.csv.

    The files may be removed during the iteration.
    """
    folder = root / "shapes"
    for name in os.listdir(folder) if folder.is_dir() else []:  # a list of paths would take several times the memory
        if name.endswith(".json"):
            yield folder / name


def _is_incomplete(path: Path) -> bool:
    """Return whether a file does not end with a line end: a power cut left it empty, cut off or filled with zeros."""
    with failures_named(path), regular(path).open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
        return file.read(1) != b"\n"


def _as_row(record: Record) -> dict[str, Any]:
    row = asdict(record)
    measures = row.pop("measures") or {}
    numbers = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in measures.items()}
    return {**row, **numbers, "seconds": f"{record.seconds:.3f}"}


def _from_row(row: dict[str, str]) -> Record:
    measured = {name: row.pop(name) for name in MEASURES}
    values: dict[str, Any] = {name: kind(measured[name]) for name, kind in MEASURES.items() if measured["route"]}
    seconds = float(row.pop("seconds"))
    return Record(**row, measures=Measures(**values) if values else None, seconds=seconds)  # type: ignore[arg-type]
