"""Reads manifests, which are CSV tables of meshes, in the dialects that spreadsheets and scripts write.

Fields are separated by commas, semicolons or tabs, with or without blanks after the separator. The text is UTF-8, or
UTF-16 with a byte order mark.
"""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

from lagem.storage.names import regular

NEEDED = ("file", "id")
DELIMITERS = ",;\t"
LONGEST_LINE = 2**20  # maximum length of the line of titles, in characters
SHOWN = 80  # how many characters of the titles a message quotes


def read_manifest(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number of each row, and its fields by title; missing fields are empty.

    Raises:
        ValueError: If the file is not such a table; the message is one line and says what was found.
    """
    encoding = encoding_of(path)
    with path.open(newline="", encoding=encoding) as file:
        try:
            head = file.readline(LONGEST_LINE)
            delimiter, titles = titles_of(head, path)
            rows = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            for fields in rows:
                line = rows.line_num + 1  # the titles are line 1
                values = [field.strip() for field in fields]
                if any(values[len(titles) :]):
                    raise ValueError(
                        f"{path}: line {line} has {len(values)} fields, but the first line has {len(titles)} titles; "
                        "put fields that contain a separator in quotes."
                    )
                if any(values):
                    yield line, dict.fromkeys(titles, "") | dict(zip(titles, values, strict=False))
        except csv.Error as error:
            raise ValueError(
                f"{path}: line {rows.line_num + 1}: {error}; close the quotes in this line, or shorten its fields."
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
            if doubled := [title for title in titles if title and titles.count(title) > 1]:
                raise ValueError(f"{path}: has the column {doubled[0]!r} more than once; remove the others.")
            return delimiter, titles
    found = head.strip()
    shown = repr(found if len(found) <= SHOWN else f"{found[:SHOWN]}…") if found else "empty"
    raise ValueError(
        f"{path}: its first line is {shown}, but a manifest begins with titles that include `file` and `id`, "
        "separated by commas, semicolons or tabs; add such a line."
    )
