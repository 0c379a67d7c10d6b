"""The report of an import on the terminal: how many shapes were imported, and which were refused and why."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lagem.preparation.report import LISTED, by_name, by_reason, show_part
from lagem.prepared.records import Record
from lagem.storage.names import printable
from lagem.storage.parts import Part


def show(records: list[Record], output: str | Path, part: Part | None = None, console: Console | None = None) -> None:
    """Print the refused shapes and the counts; for one part of a job, only the counts.

    Raises:
        ValueError: If no shape was imported, and `part` is None.
    """
    if part is not None:
        show_part(records, part)
        return
    console = console or Console()
    refused = [record for record in records if record.status == "refused"]
    if refused:
        console.print(by_name(refused) if len(refused) <= LISTED else by_reason(refused))
    table = Path(output) / "table.csv"
    if len(refused) == len(records):
        raise ValueError(f"none of {len(records)} shapes could be imported; the reasons are above and in {table}.")
    splits = Counter(record.split for record in records if record.status == "prepared")
    counts = ", ".join(f"{count} {split}" for split, count in sorted(splits.items()))
    line = f"{len(records) - len(refused)} of {len(records)} shapes are imported ({counts}), {len(refused)} refused. "
    console.print(Text(printable(f"{line}Records: {table}")), soft_wrap=True)
