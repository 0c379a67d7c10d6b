"""What a preparation did, as a table on the terminal: how many were prepared, who was refused and why."""

import re
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lagem.preparation.records import Record

LISTED = 20  # refused meshes listed by name; more are grouped by reason


def show(records: list[Record], output: str | Path, console: Console | None = None) -> None:
    """Print counts and refusals; ValueError if no mesh at all was prepared."""
    console = console or Console()
    refused = [record for record in records if record.status == "refused"]
    if refused:
        console.print(by_name(refused) if len(refused) <= LISTED else by_reason(refused))
    prepared = len(records) - len(refused)
    table = Path(output) / "table.csv"
    if prepared == 0:
        raise ValueError(f"none of {len(records)} meshes could be prepared; the reasons are above and in {table}.")
    splits = Counter(record.split for record in records if record.status == "prepared")
    counts = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
    console.print(
        f"{prepared} of {len(records)} meshes are prepared ({counts}), {len(refused)} refused. A row a mesh: {table}",
        highlight=False,
        soft_wrap=True,
    )


def by_name(refused: list[Record]) -> Table:
    """A row for each refused mesh."""
    table = Table("refused", "category", "reason", title=f"{len(refused)} refused")
    for record in refused:
        table.add_row(*map(escape, (record.id, record.category, record.reason)))
    return table


def by_reason(refused: list[Record]) -> Table:
    """A row for each reason, its numbers left out; most frequent first, with one mesh as an example."""
    groups: dict[str, list[Record]] = {}
    for record in refused:
        groups.setdefault(re.sub(r"[-+]?\d[\d.,e+-]*", "N", record.reason), []).append(record)
    table = Table("meshes", "reason", "for example", title=f"{len(refused)} refused")
    for reason, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        shown = reason if len(members) > 1 else members[0].reason
        table.add_row(str(len(members)), escape(shown), escape(members[0].id))
    return table
