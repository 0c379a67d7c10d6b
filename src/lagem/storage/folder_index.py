"""index.csv of a folder of shards: what it says of the shapes, and which file holds which."""

import csv
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.storage.texts import Labels, Texts

REPEATED = ("category", "split", "shard")


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderIndex:
    """One entry a shape, in the order of the index, which is that of the ids.

    ids, categories, splits: words of the shapes.
    shards: file that holds each, and (n,) rows: where in it.
    """

    ids: Texts
    categories: Labels
    splits: Labels
    shards: Labels
    rows: NDArray[np.integer[Any]]


def read_index(path: Path, name: str) -> FolderIndex:
    """The index at a path; FileNotFoundError where there is none, ValueError where it is damaged.

    Args:
        path: The file.
        name: What messages call it.
    """
    ids, rows = Texts(), array("q")
    codes = {column: array("i") for column in REPEATED}
    numbers: dict[str, dict[str, int]] = {column: {} for column in REPEATED}
    previous, in_order = "", True
    with path.open(newline="", encoding="utf-8") as file:
        try:
            lines = csv.reader(file)
            header = next(lines, [])
            at_id, at_row = header.index("id"), header.index("row")
            repeated = [(header.index(column), codes[column], numbers[column]) for column in REPEATED]
            for line in lines:
                row = int(line[at_row])
                for place, column, known in repeated:
                    column.append(known.setdefault(line[place], len(known)))
                id = line[at_id]
                in_order = in_order and previous < id
                ids.append(previous := id)
                rows.append(row)
        except (csv.Error, IndexError, ValueError) as error:
            raise ValueError(f"{name}: damaged after shape {len(rows)} ({type(error).__name__}: {error}).") from None
    if not in_order:
        ordered = sorted(ids)
        if doubled := [a for a, b in zip(ordered, ordered[1:], strict=False) if a == b]:
            raise ValueError(f"{name}: id {doubled[0]!r} occurs more than once.")
    labels = {column: Labels(list(numbers[column]), np.array(codes[column], dtype=np.int32)) for column in REPEATED}
    return FolderIndex(
        ids=ids,
        categories=labels["category"],
        splits=labels["split"],
        shards=labels["shard"],
        rows=np.array(rows, dtype=np.int64),
    )
