"""Reader of a prepared folder: any window of any pool of any shape, touching only the rows it returns."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import OCCUPANCY, ShardFile
from lagem.storage.file_cache import FileCache
from lagem.storage.sharded_folder import ShardedFolder


class Shards(ShardedFolder[ShardFile]):
    """All shapes of a folder that `lagem prepare` wrote, in the order of its index (sorted by id).

    Can be pickled, and used after a fork: files are opened where they are read.

    ids, categories, splits: one entry a shape.
    """

    def __init__(self, root: str | Path, cache: FileCache | None = None) -> None:
        super().__init__(root, format=OCCUPANCY, open=ShardFile, cache=cache)

    def count(self, index: int, pool: str) -> int:
        """Points that shape `index` has in a pool."""
        shard, row = self.place(index)
        return shard.count(row, checked(pool))

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
        shard, row = self.place(index)
        return shard.read(row, checked(pool), start, shard.count(row, pool) if count is None else count)

    def frame(self, index: int) -> Frame:
        """Map between shape `index`'s source and the unit sphere."""
        shard, row = self.place(index)
        return shard.frame(row)

    def volume_drawn(self, index: int) -> tuple[int, int]:
        """Uniform draws from the ball behind the volume pools, (inside, outside).

        A point of a pool stands for `1 / drawn` of the ball, so the inside share of the ball is
        count("volume_inside") / drawn[0], also where more was drawn for the inside of a thin shape.
        """
        shard, row = self.place(index)
        return shard.volume_drawn(row)


def labelled(
    shards: Shards, index: int, kind: Literal["volume", "near"]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All stored queries of a kind, (Q, 3), those inside first, and their occupancy (Q,); a side may be empty."""
    pools = [f"{kind}_inside", f"{kind}_outside"]
    counts = [shards.count(index, pool) for pool in pools]
    sides = [shards.read(index, pool) for pool, count in zip(pools, counts, strict=True) if count]
    points = np.concatenate([np.empty((0, 3), dtype=np.float32), *sides])
    return points, np.arange(len(points)) < counts[0]


def random_window(shards: Shards, index: int, pool: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, 3) points from a random place of a pool on, repeated where the pool holds fewer."""
    return shards.read(index, pool, int(rng.integers(max(shards.count(index, pool), 1))), count)


def checked(pool: str) -> str:
    """The pool's name, or a ValueError that lists the names."""
    if pool not in POOLS:
        raise ValueError(f"there is no pool {pool!r}; there are {', '.join(POOLS)}.")
    return pool
