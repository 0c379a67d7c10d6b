"""The index of a sharded folder, index.csv. It lists each shape's id, category, split, shard, and row in the shard."""

import csv
from array import array
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.storage.csv_table import LONGEST_ROW
from lagem.storage.failures import failures_named
from lagem.storage.names import NameRefused, checked_id, checked_name, is_plain, regular
from lagem.storage.texts import Labels, Texts

REPEATED = ("category", "split", "shard")
WRITE_AGAIN = "run the command that wrote the folder again, or fetch the file again"


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderIndex:
    """The columns of an index: one entry per shape, in the order of the file, which is sorted by id.

    shards: for each shape, the name of the shard that holds it.
    rows: (n,) row of each shape in its shard.
    """

    ids: Texts
    categories: Labels
    splits: Labels
    shards: Labels
    rows: NDArray[np.integer[Any]]


def read_index(path: Path, name: str) -> FolderIndex:
    """Read the index of a sharded folder.

    Args:
        path: The file.
        name: The file's name in messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or contains an invalid id or an invalid name of a shard.
    """
    ids, rows = Texts(), array("q")
    codes = {column: array("i") for column in REPEATED}
    numbers: dict[str, dict[str, int]] = {column: {} for column in REPEATED}
    previous, in_order = "", True
    with failures_named(path), regular(path).open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(iter(partial(file.readline, LONGEST_ROW), ""))  # BoundedLines would take twice the time
        try:
            header = next(lines, [])
            if missing := [title for title in ("id", *REPEATED, "row") if title not in header]:
                raise ValueError(f"no column {missing[0]!r} among {', '.join(header)[:80] or 'none'}")
            at_id, at_row = header.index("id"), header.index("row")
            repeated = [(header.index(column), codes[column], numbers[column]) for column in REPEATED]
            for line in lines:
                row = int(line[at_row])
                for field, column, known in repeated:
                    column.append(known.setdefault(line[field], len(known)))
                id = checked_id(line[at_id], name, row=len(rows) + 1)
                in_order = in_order and previous < id
                ids.append(previous := id)
                rows.append(row)
        except NameRefused:
            raise
        except IndexError:
            raise ValueError(f"{name}: line {lines.line_num} is cut short; {WRITE_AGAIN}.") from None
        except UnicodeError:
            raise ValueError(f"{name}: line {lines.line_num + 1} is not UTF-8 text; {WRITE_AGAIN}.") from None
        except (csv.Error, OverflowError, ValueError) as error:
            raise ValueError(f"{name}: line {lines.line_num}: {error}; {WRITE_AGAIN}.") from None
    for code, shard in enumerate(numbers["shard"]):
        if not is_plain(shard):
            checked_name(shard, name, row=codes["shard"].index(code) + 1)
    if not in_order:
        ordered = sorted(ids)
        if doubled := [a for a, b in zip(ordered, ordered[1:], strict=False) if a == b]:
            raise ValueError(f"{name}: id {doubled[0]!r} occurs more than once; {WRITE_AGAIN}.")
    labels = {column: Labels(list(numbers[column]), np.array(codes[column], dtype=np.int32)) for column in REPEATED}
    return FolderIndex(
        ids=ids,
        categories=labels["category"],
        splits=labels["split"],
        shards=labels["shard"],
        rows=np.array(rows, dtype=np.int64),
    )
