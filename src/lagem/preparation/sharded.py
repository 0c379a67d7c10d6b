"""A folder of shards: what its index says of the shapes, and which file holds which."""

import csv
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lagem.preparation.folder_format import FolderFormat
from lagem.preparation.open_files import OpenFiles


class Shard(Protocol):
    """A file that holds shapes, by row."""

    ids: list[str]


ShardType = TypeVar("ShardType", bound=Shard)


class ShardedFolder(Generic[ShardType]):
    """All shapes of a folder of shards, in the order of its index (sorted by id).

    Can be pickled, and used after a fork: files are opened where they are read.

    header: format.json.
    ids, categories, splits: one entry a shape.

    Args:
        root: The folder.
        format: What the folder has to be.
        open: Opens one of its shards.
    """

    def __init__(self, root: str | Path, *, format: FolderFormat, open: Callable[[Path], ShardType]) -> None:
        self.root = Path(root)
        self.header = format.read(self.root)
        self.ids: list[str] = []
        self.categories: list[str] = []
        self.splits: list[str] = []
        self._files: list[str] = []
        self._rows: list[int] = []
        words: dict[str, str] = {}  # one string object for each category, split and shard
        index = self.root / "index.csv"
        try:
            with index.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    self.ids.append(row["id"])
                    for column, name in ((self.categories, "category"), (self.splits, "split"), (self._files, "shard")):
                        column.append(words.setdefault(row[name], row[name]))
                    self._rows.append(int(row["row"]))
        except FileNotFoundError:
            raise ValueError(f"{self.root}: no index.csv, so it is not finished; run `{format.command}`.") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{index}: damaged after shape {len(self._rows)} ({type(error).__name__}: {error})."
            ) from None
        if len(set(self.ids)) < len(self.ids):
            doubled = next(a for a, b in zip(sorted(self.ids), sorted(self.ids)[1:], strict=False) if a == b)
            raise ValueError(f"{index}: id {doubled!r} occurs more than once.")
        self._shards = OpenFiles(open)

    def __len__(self) -> int:
        return len(self.ids)

    def members(self, categories: Collection[str] | None) -> dict[str, list[int]]:
        """Positions in `ids` of the shapes of some categories (None: all) by split; ValueError for an unknown one."""
        known = sorted(set(self.categories))
        if unknown := sorted(set(categories or ()) - set(known)):
            raise ValueError(f"{self.root} holds no category {', '.join(unknown)}; it holds {', '.join(known)}.")
        members: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for index, (split, category) in enumerate(zip(self.splits, self.categories, strict=True)):
            if categories is None or category in categories:
                members.setdefault(split, []).append(index)
        return members

    def place(self, index: int) -> tuple[ShardType, int]:
        """The shard that holds shape `index`, and its row there."""
        shard, row = self._shards(self.root / "shards" / self._files[index]), self._rows[index]
        if not 0 <= row < len(shard.ids) or shard.ids[row] != self.ids[index]:
            name = self._files[index]
            raise ValueError(f"{self.root}: row {row} of shard {name} is not {self.ids[index]!r}, as index.csv says.")
        return shard, row
