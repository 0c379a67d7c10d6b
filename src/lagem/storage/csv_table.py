"""Tables as CSV files whose first line holds the column titles.

They are written with the same line end on every system, and checked when they are read.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

from lagem.storage.atomic import write_text
from lagem.storage.failures import failures_named
from lagem.storage.names import regular

LONGEST_ROW = 2**20  # maximum length of a row, in characters


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

    If a row ends early, its missing fields that are in `needed` are empty texts, and the dict lacks all other missing
    fields. If they were added, too, a short file with many titles could fill the memory. A byte order mark at the start
    of the file is skipped.

    Args:
        path: The file.
        needed: Titles that the table must have; it may have more.

    Raises:
        ValueError: If a needed column is missing, or the file is not a CSV table in UTF-8.
    """
    with failures_named(path), regular(path).open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = bounded_rows(file)
            titles = next(rows, [])
            if missing := [title for title in needed if title not in titles]:
                raise ValueError(f"{path}: needs the columns {', '.join(needed)}; missing: {', '.join(missing)}.")
            for fields in rows:
                if fields:
                    yield dict.fromkeys(needed, "") | dict(zip(titles, fields, strict=False))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV table in UTF-8, or a damaged one ({error}); write it again.") from None


def bounded_rows(file: TextIO) -> Iterator[list[str]]:
    """Yield the rows of a CSV file; raises csv.Error if one has more than `LONGEST_ROW` characters."""
    lines = BoundedLines(file)
    for fields in csv.reader(lines):
        lines.used = 0
        yield fields


@dataclass
class BoundedLines:
    """Iterator over the lines of a CSV file; raises csv.Error if one row has more than `LONGEST_ROW` characters.

    A row can have several lines.

    used: Number of characters of the current row so far; the caller sets it to 0 after each row.
    number: Number of the line that was read last, from 1.
    """

    file: TextIO
    used: int = 0
    number: int = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_ROW + 1)
        self.used += len(line)
        self.number += bool(line)
        if self.used > LONGEST_ROW:
            raise csv.Error(f"a row of more than {LONGEST_ROW:,} characters")
        if not line:
            raise StopIteration
        return line
