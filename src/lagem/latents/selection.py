"""A reproducible selection from a large data set: a list of ids, chosen at random by a seed.

The ids are ranked by a hash of the seed and the id, and the first ones are chosen. So the list does not depend on the
order of the source, and a longer list contains every shorter list of the same seed.
"""

import csv
import hashlib
from pathlib import Path

from lagem.storage.atomic import write_text
from lagem.storage.checked.digest import sha256_of
from lagem.storage.names import regular

HEAD = "# lagem-ids 1"
COLUMNS = ("id", "uid")


def select_ids(source: Path, output: Path, *, count: int, seed: int = 0, column: str | None = None) -> str:
    """Choose ids, and write them to a file: sorted, one per line, below three lines about their origin.

    Args:
        source: A .csv table, or a folder that `lagem prepare` wrote.
        output: The file to write.
        count: Number of ids to choose.
        seed: Seed of the selection.
        column: Title of the column with the ids. If the table has no titles, the number of the column, from 1. None for
            the title `id` or `uid`.

    Returns:
        The sha256 of the chosen ids.

    Raises:
        ValueError: If the table has fewer ids than `count`, or lacks the column.
    """
    table = source / "index.csv" if source.is_dir() else source
    if not table.is_file():
        raise ValueError(f"{table}: there is no such file; give a .csv table with ids, or a folder of `lagem prepare`.")
    try:
        ids = _column_of(table, column)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{table}: not a CSV table in UTF-8, or a damaged one ({error}); write it again.") from None
    if not 1 <= count <= len(ids):
        raise ValueError(
            f"{table}: holds {len(ids)} different ids, but --count is {count}; give a number from 1 to {len(ids)}."
        )
    chosen = sorted(sorted(ids, key=lambda id: (_hash(f"{seed}/{id}"), id))[:count])
    digest = _hash("\n".join(chosen))
    about = f"# {count} of {len(ids)} ids of {table.name} (sha256 {sha256_of(table)}), seed {seed}"
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, "\n".join([HEAD, about, f"# sha256 of the ids: {digest}", *chosen, ""]))
    return digest


def read_ids(path: Path) -> list[str]:
    """Read a list that `select_ids` wrote, and check its ids against the sha256 in it.

    Raises:
        ValueError: If the file is missing, is not such a list, or is damaged.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; `lagem select-ids` makes one.")
    try:
        head, *lines = regular(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error}); make it again with `lagem select-ids`.") from None
    if head != HEAD or len(lines) < 3:
        raise ValueError(
            f"{path}: not a list that `lagem select-ids` wrote. Such a list begins with `{HEAD}`; make one with this "
            "command."
        )
    ids = lines[2:-1]
    if not lines[1].endswith(_hash("\n".join(ids))):
        raise ValueError(f"{path}: its ids do not match its sha256; make it again with `lagem select-ids`.")
    return ids


def _column_of(table: Path, column: str | None) -> set[str]:
    with regular(table).open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        if column is not None and column.isdecimal():
            position = int(column) - 1
        else:
            titles = next(rows, [])
            wanted = [column] if column is not None else [name for name in COLUMNS if name in titles]
            if not wanted or wanted[0] not in titles:
                raise ValueError(
                    f"{table}: has no column {column or ' or '.join(COLUMNS)}; its first line has "
                    f"{', '.join(titles) or 'nothing'}. Name the column with --column; if the table has no titles, "
                    "give the column's number, from 1."
                )
            position = titles.index(wanted[0])
        ids = {row[position].strip() for row in rows if 0 <= position < len(row)} - {""}
    return ids


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
