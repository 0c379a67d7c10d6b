"""Reader of a folder of shards. The index is held in memory; each shard is opened when it is first read."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lagem.storage.file_cache import FileCache
from lagem.storage.folder_format import FolderFormat
from lagem.storage.folder_index import read_index
from lagem.storage.names import NameRefused
from lagem.storage.open_files import OpenFiles
from lagem.storage.stored_folder import stored_folder


class Shard(Protocol):
    """A file that holds one shape per row."""

    ids: list[str]
    has_checksums: bool

    def verify(self, row: int) -> None:
        """Raise ValueError if the content of a row does not match its checksums."""


ShardType = TypeVar("ShardType", bound=Shard)


class ShardedFolder(Generic[ShardType]):
    """All shapes of a folder of shards, in the order of its index (sorted by id).

    It can be pickled and used after a fork, since each process opens the files itself.

    root: the folder's path or URL.
    about: the content of format.json, as a `Description` that checks a field when it is read.
    header: the content of format.json, in plain types.
    ids, categories, splits: one entry per shape.
    shards: for each shape, the name of the shard that holds it.
    stored: access to the files, local or remote.

    Args:
        root: Path of the folder, or its URL in an object store.
        format: The format that the folder must have.
        open: Opens a shard, given its path.
        cache: Cache for the files of an object store; None for one with the default settings.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        format: FolderFormat,
        open: Callable[[Path], ShardType],
        cache: FileCache | None = None,
    ) -> None:
        self.stored = stored_folder(root, cache or FileCache())
        self.root = self.stored.name
        self._command, self._open_shard = format.command, open
        self.about = format.read(self.stored)
        self.header = self.about.values
        try:
            with self.stored.held("index.csv") as path:
                index = read_index(path, f"{self.root}/index.csv")
        except FileNotFoundError:
            raise ValueError(f"{self.root}: has no index.csv, so it is not finished; run `{format.command}`.") from None
        self.ids, self.categories, self.splits, self.shards = index.ids, index.categories, index.splits, index.shards
        self._rows = index.rows
        self._opened = OpenFiles(self._open, most=self.stored.open_files)

    def __len__(self) -> int:
        return len(self.ids)

    def members(self, categories: Collection[str] | None) -> dict[str, NDArray[np.integer[Any]]]:
        """Select the shapes of some categories, and group them by split.

        Args:
            categories: Names of the categories; None for all.

        Returns:
            For each split, the indices of its selected shapes. The splits train, val and test are always present.

        Raises:
            ValueError: If the folder holds no shape of a given category.
        """
        known = sorted(self.categories.names)
        if unknown := sorted(set(categories or ()) - set(known)):
            raise ValueError(f"{self.root} holds no category {', '.join(unknown)}; it holds {', '.join(known)}.")
        chosen = np.array([categories is None or name in categories for name in self.categories.names], dtype=np.bool_)
        wanted = chosen[self.categories.codes]
        splits = {split: code for code, split in enumerate(self.splits.names)}
        return {
            split: np.flatnonzero(wanted & (self.splits.codes == splits.get(split, -1)))
            for split in {"train": 0, "val": 0, "test": 0, **splits}
        }

    def shards_of(self, members: NDArray[np.integer[Any]], at_once: int | None) -> NDArray[np.integer[Any]]:
        """Return which shard holds each of the given shapes, after checking that the machine's cache is large enough.

        Args:
            members: (n,) indices of shapes.
            at_once: Number of shards that are read at the same time; None if any shard may be read at any time.

        Returns:
            (n,) index in `shards.names` of each shape's shard.

        Raises:
            ValueError: If the cache cannot hold the shards that are read at the same time.
        """
        shards = self.shards.codes[members]
        self.stored.check_room([f"shards/{self.shards.names[code]}" for code in np.unique(shards)], at_once)
        return shards

    def location(self, index: int) -> tuple[ShardType, int]:
        """Return the shard that holds shape `index`, and the shape's row in this shard."""
        shard, row = self._opened(self.shards[index]), int(self._rows[index])
        if not 0 <= row < len(shard.ids) or shard.ids[row] != self.ids[index]:
            raise ValueError(
                f"{self.root}: index.csv says that row {row} of shard {self.shards[index]} holds shape "
                f"{self.ids[index]!r}, but the row does not; run `{self._command}` again."
            )
        return shard, row

    def verify(self, index: int) -> bool:
        """Read all of shape `index`, and raise ValueError if it is damaged.

        Returns:
            Whether the shard has checksums; without them, damage to the content cannot be found.
        """
        shard, row = self.location(index)
        shard.verify(row)
        return shard.has_checksums

    def _open(self, name: str) -> ShardType:
        try:
            with self.stored.held(f"shards/{name}") as path:
                return self._open_shard(path)
        except FileNotFoundError:
            raise ValueError(f"{self.root}/shards/{name}: the shard is missing; run `{self._command}` again.") from None


def damage_of(path: Path, open: Callable[[Path], Shard], *, every_byte: bool) -> str:
    """Return a text that says what is wrong with a shard; it is empty if nothing wrong is found.

    Args:
        path: The file of the shard.
        open: Opens the shard, and thereby verifies its description and its small arrays.
        every_byte: Also verify the content of every row.
    """
    try:
        shard = open(path)
        for row in range(len(shard.ids) if every_byte else 0):
            shard.verify(row)
    except NameRefused:  # not damage: a name that leads out of the folder was written on purpose
        raise
    except ValueError as error:
        return str(error)
    return ""


def shard_name(number: int, ids: list[str]) -> str:
    """Return the file name of a shard: its number, and a digest of the ids of its shapes."""
    digest = hashlib.blake2b("\0".join(ids).encode(), digest_size=4).hexdigest()
    return f"{number:05d}-{digest}.safetensors"
