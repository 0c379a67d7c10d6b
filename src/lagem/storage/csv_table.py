"""Tables as CSV files whose first line holds the column titles.

They are written with the same line end on every system, and checked when they are read.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

from lagem.storage.atomic import write_text
from lagem.storage.failures import failures_named
from lagem.storage.names import regular


def csv_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the text of a table: a line of titles, then one line per row. None becomes an empty field."""
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerows([titles, *rows])
    # A reader ends a line at \r or at \n, so a field that contains either must be quoted. The csv writer quotes fields
    # that contain a character of its line end. So its line end is \r\n, which is replaced here
    return "".join(line[:-2] + "\n" for line in lines)


def write_csv(path: Path, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table to a file, whole or not at all."""
    write_text(path, csv_table(titles, rows))


def read_csv(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, each as a dict from titles to fields.

    A field that is missing at the end of a row is empty. A byte order mark at the start of the file is skipped.

    Args:
        path: The file.
        needed: Titles that the table must have; it may have more.

    Raises:
        ValueError: If a needed column is missing, or the file is not a CSV table in UTF-8.
    """
    with failures_named(path), regular(path).open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = csv.DictReader(file, restval="")
            if missing := [title for title in needed if title not in (rows.fieldnames or ())]:
                raise ValueError(f"{path}: needs the columns {', '.join(needed)}; missing: {', '.join(missing)}.")
            for row in rows:
                row.pop(None, None)  # fields beyond the last title
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV table in UTF-8, or a damaged one ({error}); write it again.") from None
