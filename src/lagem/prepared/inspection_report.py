"""Report of an inspection: a summary and the suspicious shapes on the terminal, and tables and pictures as files."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lagem.geometry.picture import Picture, contact_sheet, render_points, save_picture
from lagem.prepared.inspection import Inspection, ShapeReport
from lagem.prepared.shards import Shards, unread_splits
from lagem.randomness import sample_generator
from lagem.storage.csv_table import write_csv
from lagem.storage.names import printable

LISTED = 30  # maximum number of shapes on the terminal, those with most suspicions first; inspection.csv lists all
PICTURED, COLUMNS = 64, 8  # maximum number of shapes on a picture, and of shapes in one of its rows
PICTURE_SIZE = 220  # pixels along a side of one shape's picture
SHAPE_COLUMNS = ["id", "category", "split", "inside_share", "thickness", "agreement", "suspicions"]
COPY_COLUMNS = ["first", "first_split", "second", "second_split", "chamfer", "floor"]


def show(inspection: Inspection, console: Console | None = None) -> None:
    """Print the summary and the suspicious shapes.

    Raises:
        ValueError: If shapes are damaged; then only these are printed, at most LISTED of them.
    """
    console = console or Console()
    if inspection.damaged:
        for id, reason in list(inspection.damaged.items())[:LISTED]:
            console.print(Text(printable(f"{id}: {reason}")), soft_wrap=True)
        shown = "the reasons" if len(inspection.damaged) <= LISTED else f"the first {LISTED} reasons"
        raise ValueError(
            f"{inspection.root}: number of damaged shapes: {len(inspection.damaged)}; {shown} are listed above. Copy "
            "their shards again, or run `lagem prepare` with --verify and all meshes to make the shards anew."
        )
    console.print(_summary(inspection))
    suspicious = _suspicious(inspection)
    rest = f"; the first {LISTED}, all are in inspection.csv" if len(suspicious) > LISTED else ""
    lines = [f"suspicious shapes: {len(suspicious)} of {len(inspection.shapes)}{rest}{':' if suspicious else ''}"]
    for shape in suspicious[:LISTED]:
        lines.append(f"  {shape.id} ({shape.category}, {shape.split}): {'; '.join(shape.suspicions)}")
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)
    across = sum(
        inspection.shapes[copy.first].split != inspection.shapes[copy.second].split for copy in inspection.copies
    )
    if warning := unread_splits(shape.split for shape in inspection.shapes):
        console.print(Text(printable(warning)), soft_wrap=True)
    console.print(f"pairs of close shapes: {len(inspection.copies)}, in different splits: {across}.", highlight=False)
    if inspection.mixed_axes:
        console.print(inspection.mixed_axes, highlight=False, soft_wrap=True)


def write(inspection: Inspection, output: Path, up: Literal["y", "z"]) -> None:
    """Write inspection.csv, copies.csv, suspicious.png and random.png into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    write_csv(output / "inspection.csv", SHAPE_COLUMNS, _shape_rows(inspection))
    write_csv(output / "copies.csv", COPY_COLUMNS, _copy_rows(inspection))
    shards = Shards(inspection.root)
    order = sample_generator(0, 0, "pictures").permutation(len(inspection.shapes))
    random = [inspection.shapes[index] for index in order]
    for name, shapes in (("suspicious", _suspicious(inspection)), ("random", random)):
        picture = output / f"{name}.png"
        if shapes:
            save_picture(_sheet(shards, shapes[:PICTURED], up), picture)
        else:
            picture.unlink(missing_ok=True)  # from an earlier inspection


def _suspicious(inspection: Inspection) -> list[ShapeReport]:
    """Return the suspicious shapes, those with most suspicions first, for the list and the picture."""
    return sorted((s for s in inspection.shapes if s.suspicions), key=lambda shape: -len(shape.suspicions))


def _summary(inspection: Inspection) -> Table:
    shapes = inspection.shapes
    measured = [shape.measures for shape in shapes if shape.measures]
    splits = Counter(shape.split for shape in shapes)
    routes = Counter(measures.route for measures in measured)
    judged = [shape.agreement for shape in shapes if shape.agreement is not None]
    table = Table("", "", title=Text(printable(str(inspection.root)), style="table.title"), show_header=False)
    table.add_row("shapes", Text(f"{len(shapes)} ({_counts(splits)}), {len(inspection.refused)} refused"))
    verified = len(shapes) - inspection.unverified
    table.add_row("verified", f"{verified} shapes, {inspection.unverified} without checksums (of an older lagem)")
    table.add_row("categories", f"{len({shape.category for shape in shapes})}")
    table.add_row("route", Text(_counts(routes) or "unknown"))
    rows = {
        "inside share of the ball": [shape.inside_share for shape in shapes],
        "mean thickness": [shape.thickness for shape in shapes if shape.thickness is not None],
        "surface error of converted, mean": [measures.error_mean for measures in measured if measures.route != "own"],
        "surface error of converted, 99th percentile": [m.error_p99 for m in measured if m.route != "own"],
        f"agreement of labels and normals, {len(judged)} judged": judged,
    }
    for name, values in rows.items():
        if values:
            low, middle, high = np.quantile(values, [0, 0.5, 1])
            table.add_row(name, f"median {middle:.4g}, from {low:.4g} to {high:.4g}")
    return table


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {printable(name)}" for name, count in sorted(counter.items()))


def _shape_rows(inspection: Inspection) -> list[list[str]]:
    rows = []
    for shape in inspection.shapes:
        numbers = [
            "" if value is None else f"{value:.6g}" for value in (shape.inside_share, shape.thickness, shape.agreement)
        ]
        rows.append([shape.id, shape.category, shape.split, *numbers, "; ".join(shape.suspicions)])
    return rows


def _copy_rows(inspection: Inspection) -> list[list[str]]:
    rows = []
    for copy in inspection.copies:
        pair = [inspection.shapes[copy.first], inspection.shapes[copy.second]]
        words = [word for shape in pair for word in (shape.id, shape.split)]
        rows.append([*words, f"{copy.distance:.6f}", f"{copy.floor:.6f}"])
    return rows


def _sheet(shards: Shards, shapes: list[ShapeReport], up: Literal["y", "z"]) -> Picture:
    """Draw the point clouds of shapes on one picture, in rows, each under its id."""
    rows = []
    for start in range(0, len(shapes), COLUMNS):
        row: list[ShapeReport | None] = list(shapes[start : start + COLUMNS])
        if start:  # pad to the width of the first row
            row += [None] * (COLUMNS - len(row))
        pictures = [None if shape is None else _drawn(shards, shape, up) for shape in row]
        rows.append(contact_sheet([pictures], column_titles=[shape.id if shape else "" for shape in row]))
    return np.concatenate(rows)


def _drawn(shards: Shards, shape: ShapeReport, up: Literal["y", "z"]) -> Picture:
    return render_points(shards.read(shape.index, "surface_points"), size=PICTURE_SIZE, up=up)
