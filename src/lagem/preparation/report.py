"""The report of a preparation on the terminal: how many meshes were prepared and how, which were refused and why."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lagem.prepared.records import Record
from lagem.storage.csv_table import read_csv
from lagem.storage.names import printable
from lagem.storage.parts import Part, status_line

LISTED = 40  # up to this number of refused meshes are listed by name; more are grouped by reason
NAMED = 3  # largest number of shapes named in a line


def show(records: list[Record], output: str | Path, part: Part | None = None, console: Console | None = None) -> None:
    """Print how many meshes are prepared, and the refused meshes.

    If the folder also holds other shapes, which earlier calls prepared, a line says so.

    For one part of a job, only the counts are printed.

    Args:
        records: The records of the meshes.
        output: The prepared folder.
        part: The part that was prepared; None if it was the whole job.
        console: The console to print to; None for the terminal.

    Raises:
        ValueError: If none of the meshes is prepared, and `part` is None.
    """
    if part is not None:
        show_part(records, part)
        return
    console = console or Console()
    refused = [record for record in records if record.status == "refused"]
    if refused:
        console.print(by_name(refused) if len(refused) <= LISTED else by_reason(refused))
    prepared = len(records) - len(refused)
    table = Path(output) / "table.csv"
    if prepared == 0:
        raise ValueError(f"none of {len(records)} meshes could be prepared; the reasons are above and in {table}.")
    done = [record for record in records if record.status == "prepared"]
    splits = Counter(record.split for record in done)
    counts = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
    lines = [
        routes_in_words(done),
        f"{prepared} of {len(records)} meshes are prepared ({counts}), {len(refused)} refused. Records: {table}",
    ]
    if others := unlisted(records, Path(output)):
        lines.append(others_in_words(others))
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


def unlisted(records: list[Record], root: Path) -> list[str]:
    """Return the ids of the shapes in a prepared folder that are not among these records."""
    listed = {record.id for record in records}
    index = root / "index.csv"
    return [row["id"] for row in read_csv(index, ["id"]) if row["id"] not in listed] if index.exists() else []


def others_in_words(ids: list[str]) -> str:
    """Return a line that names some shapes of a folder that were not listed, and says how to leave them out."""
    names = ", ".join(ids[:NAMED]) + (", …" if len(ids) > NAMED else "")
    if len(ids) == 1:
        return (
            f"The folder also holds 1 shape that is not in this list ({names}). It stays; to leave it out, remove the "
            "folder and prepare again."
        )
    return (
        f"The folder also holds {len(ids)} shapes that are not in this list ({names}). They stay; to leave them out, "
        "remove the folder and prepare again."
    )


def show_part(records: list[Record], part: Part) -> None:
    """Print the counts of one part; no error is raised if all its meshes are refused."""
    refused = sum(record.status == "refused" for record in records)
    print(
        f"part {part}: {status_line('meshes', total=len(records), done=len(records) - refused, refused=refused)}. "
        "When all parts are done, run the same command without --part to pack."
    )


def routes_in_words(prepared: list[Record]) -> str:
    """Return a line that says how many meshes kept their own surface, and how accurately the others were converted."""
    measured = {record.id: record.measures for record in prepared if record.measures}
    converted = {id: measures for id, measures in measured.items() if measures.route != "own"}
    text = f"meshes with their own surface: {len(measured) - len(converted)}, converted meshes: {len(converted)}"
    if converted:
        mean = np.mean([measures.error_mean for measures in converted.values()])
        worst = max(converted, key=lambda id: converted[id].error_p99)
        sheets = sum(measures.sheet_share > 0.01 for measures in converted.values())
        text += (
            f" (surface error, in radii of the unit sphere: mean {mean:.5f}, largest 99th percentile "
            f"{converted[worst].error_p99:.4f} of {worst}; with thickened sheets: {sheets})"
        )
    return f"{text}."


def by_name(refused: list[Record]) -> Table:
    """Return a table with a row for each refused mesh."""
    table = _table("refused", "category", "reason", title=f"{len(refused)} refused")
    for record in refused:
        table.add_row(*(Text(printable(words)) for words in (record.id, record.category, record.reason)))
    return table


def by_reason(refused: list[Record]) -> Table:
    """Return a table with a row for each reason why meshes were refused, most frequent reason first.

    Reasons that differ only in their numbers are counted as one, with N in place of the numbers. Each row gives one
    mesh as an example.
    """
    groups: dict[str, list[Record]] = {}
    for record in refused:
        groups.setdefault(re.sub(r"[-+]?\d[\d.,e+-]*", "N", record.reason), []).append(record)
    table = _table("meshes", "reason", "for example", title=f"{len(refused)} refused")
    for reason, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        shown = reason if len(members) > 1 else members[0].reason
        table.add_row(str(len(members)), Text(printable(shown)), Text(printable(members[0].id)))
    return table


def _table(*names: str, title: str) -> Table:
    """Return an empty table that breaks a long id into lines; without `overflow`, rich would cut it."""
    return Table(*(Column(name, overflow="fold") for name in names), title=title)
