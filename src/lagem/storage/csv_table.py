"""Tables as CSV with a line of titles: written with one line end on every system, read with checks."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

from lagem.failures import failures_named
from lagem.storage.atomic import write_text
from lagem.storage.names import regular


def csv_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a table: the titles, then a line for each row; None is an empty field."""
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerows([titles, *rows])
    # a writer quotes only fields with a character of its line end, but a reader takes either for one
    return "".join(line[:-2] + "\n" for line in lines)


def write_csv(path: Path, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, whole or not at all."""
    write_text(path, csv_table(titles, rows))


def read_csv(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows of a table by title; missing fields are empty, and a byte order mark is skipped.

    Args:
        path: The file.
        needed: Titles that the table must have; it may have more.

    Raises:
        ValueError: If a needed column is missing, or the path is not a file of CSV in UTF-8.
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
