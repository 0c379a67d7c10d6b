"""Reader of a prepared folder: any window of any pool of any shape, touching only the rows it returns."""

import csv
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.preparation.quantisation import POOLS
from lagem.preparation.shard_file import ShardFile, check_version

OPEN_SHARDS = 64  # kept open in a process; each costs a memory map and its offsets


class Shards:
    """All shapes of a folder that `lagem prepare` wrote, in the order of its index (sorted by id).

    Can be pickled, and used after a fork: files are opened where they are read.

    ids, categories, splits: one entry a shape.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        read_format(self.root)
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
            raise ValueError(f"{self.root}: no index.csv, so nothing is packed yet; run `lagem prepare`.") from None
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{index}: damaged after shape {len(self._rows)} ({type(error).__name__}: {error})."
            ) from None
        if len(set(self.ids)) < len(self.ids):
            doubled = next(a for a, b in zip(sorted(self.ids), sorted(self.ids)[1:], strict=False) if a == b)
            raise ValueError(f"{index}: id {doubled!r} occurs more than once.")
        self._forget()

    def __len__(self) -> int:
        return len(self.ids)

    def count(self, index: int, pool: str) -> int:
        """Points that shape `index` has in a pool."""
        return self._shard(index).count(self._rows[index], checked(pool))

    def read(self, index: int, pool: str, start: int = 0, count: int | None = None) -> NDArray[np.float32]:
        """A window of a pool; a fair draw of it, wherever it starts.

        Args:
            index: Position of the shape in `ids`.
            pool: surface_points, surface_normals, volume_inside, volume_outside, near_inside or near_outside.
            start: First row; after the pool's last row the window goes on at its first.
            count: Rows to read, more than the pool holds if need be; None for the whole pool once.

        Returns:
            (count, 3) float32 in the unit-sphere frame; ValueError if the pool is empty.
        """
        shard, row = self._shard(index), self._rows[index]
        return shard.read(row, checked(pool), start, shard.count(row, pool) if count is None else count)

    def frame(self, index: int) -> Frame:
        """Map between shape `index`'s source and the unit sphere."""
        return self._shard(index).frame(self._rows[index])

    def volume_drawn(self, index: int) -> tuple[int, int]:
        """Uniform draws from the ball behind the volume pools, (inside, outside).

        A point of a pool stands for `1 / drawn` of the ball, so the inside share of the ball is
        count("volume_inside") / drawn[0], also where more was drawn for the inside of a thin shape.
        """
        return self._shard(index).volume_drawn(self._rows[index])

    def _shard(self, index: int) -> ShardFile:
        if self._process != os.getpid():
            self._forget()
        name = self._files[index]
        if name not in self._open:
            shard = ShardFile(self.root / "shards" / name)
            self._open[name] = shard
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        shard, row = self._open[name], self._rows[index]
        if not 0 <= row < len(shard.ids) or shard.ids[row] != self.ids[index]:
            raise ValueError(f"{self.root}: row {row} of shard {name} is not {self.ids[index]!r}, as index.csv says.")
        return shard

    def _forget(self) -> None:
        self._open: OrderedDict[str, ShardFile] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_process": -1}


def labelled(
    shards: Shards, index: int, kind: Literal["volume", "near"]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All stored queries of a kind, (Q, 3), those inside first, and their occupancy (Q,); a side may be empty."""
    pools = [f"{kind}_inside", f"{kind}_outside"]
    counts = [shards.count(index, pool) for pool in pools]
    sides = [shards.read(index, pool) for pool, count in zip(pools, counts, strict=True) if count]
    points = np.concatenate([np.empty((0, 3), dtype=np.float32), *sides])
    return points, np.arange(len(points)) < counts[0]


def read_format(root: Path) -> dict[str, Any]:
    """format.json of a prepared folder: format, version and settings."""
    path = root / "format.json"
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "has no format.json, so `lagem prepare` did not write it" if root.is_dir() else "there is no such folder"
        raise ValueError(f"{root}: {what}; prepare meshes with `lagem prepare MESHES... --output {root}`.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read ({error}).") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path}: holds no JSON object.")
    check_version(path, header)
    return header


def checked(pool: str) -> str:
    """The pool's name, or a ValueError that lists the names."""
    if pool not in POOLS:
        raise ValueError(f"there is no pool {pool!r}; there are {', '.join(POOLS)}.")
    return pool
