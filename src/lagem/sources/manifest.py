"""Reads manifests, which are CSV tables of meshes, in the dialects that spreadsheets and scripts write.

Fields are separated by commas, semicolons or tabs, with or without blanks after the separator. The text is UTF-8, or
UTF-16 with a byte order mark.
"""

import codecs
import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lagem.storage.csv_table import LONGEST_ROW, BoundedLines
from lagem.storage.names import regular

NEEDED = ("file", "id")
KNOWN = (*NEEDED, "category", "split")
DELIMITERS = ",;\t"
MOST_BYTES = 2**30  # size of a manifest; memory is needed for its fields, about 400 bytes a row
TOLD_EVERY = 50_000  # print a message after this number of lines, which takes a second or two
SHOWN = 80  # how many characters of the titles a message quotes


def read_manifest(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield, for each row, its line number, and its fields as a dict from column title to text.

    If a row is too short, its missing fields are empty texts in the columns `file`, `id`, `category` and `split`, and
    absent in other columns. For a long manifest, the number of lines read and their rate are printed from time to time.

    Raises:
        ValueError: If the file is not a valid manifest; the message is one line and says what was found.
    """
    encoding = encoding_of(path)
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(
            f"{path}: has {size:,} bytes, more than the limit of {MOST_BYTES:,} for a manifest; split it into several."
        )
    with path.open(newline="", encoding=encoding) as file:
        lines = BoundedLines(file, number=1)
        try:
            head = file.readline(LONGEST_ROW)
            delimiter, titles = titles_of(head, path)
            rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
            empty = dict.fromkeys((title for title in titles if title in KNOWN), "")
            told, start = 0, time.monotonic()
            for fields in rows:
                lines.used, line = 0, lines.number
                if line // TOLD_EVERY > told:
                    told = line // TOLD_EVERY
                    rate = line / max(time.monotonic() - start, 1e-9)
                    print(f"{path}: {line:,} lines read, {rate:,.0f}/s", file=sys.stderr, flush=True)
                values = [field.strip() for field in fields]
                if any(values[len(titles) :]):
                    raise ValueError(
                        f"{path}: line {line} has {len(values)} fields, but the first line has {len(titles)} titles; "
                        "put fields that contain a separator in quotes."
                    )
                if any(values):
                    yield line, empty | dict(zip(titles, values, strict=False))
        except csv.Error as error:
            raise ValueError(
                f"{path}: line {lines.number}: {error}; close the quotes in this line, or shorten its fields."
            ) from None
        except UnicodeError:
            raise ValueError(
                f"{path}: is not text in {encoding.removesuffix('-sig').upper()}; save the file as CSV in UTF-8."
            ) from None


def encoding_of(path: Path) -> str:
    """Return the encoding that a file's byte order mark declares, or UTF-8 if there is no mark."""
    with regular(path).open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def titles_of(head: str, path: Path) -> tuple[str, list[str]]:
    """Return the separator and the titles of a manifest, given its first line.

    Raises:
        ValueError: If the line lacks the title `file` or `id`, or has a title twice.
    """
    for delimiter in DELIMITERS:
        try:
            fields = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:  # a field over the limit
            continue
        titles = [field.strip() for field in fields]
        if set(NEEDED) <= set(titles):
            if doubled := [title for title, count in Counter(titles).items() if title and count > 1]:
                raise ValueError(f"{path}: has the column {doubled[0]!r} more than once; remove the duplicates.")
            return delimiter, titles
    found = head.strip()
    shown = repr(found if len(found) <= SHOWN else f"{found[:SHOWN]}…") if found else "empty"
    raise ValueError(
        f"{path}: its first line is {shown}, but a manifest begins with titles that include `file` and `id`, "
        "separated by commas, semicolons or tabs; add such a line."
    )
