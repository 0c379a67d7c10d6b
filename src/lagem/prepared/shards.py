"""Reader of a prepared folder: any window of any pool of any shape, reading only the rows it returns."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame, Up
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import OCCUPANCY, ShardFile
from lagem.storage.file_cache import FileCache
from lagem.storage.sharded_folder import ShardedFolder

SPLITS_OF_FIT = ("train", "val", "test")


class Shards(ShardedFolder[ShardFile]):
    """All shapes of a folder that `lagem prepare` wrote, in the order of its index (sorted by id).

    Can be pickled and used after a fork: each process opens the files itself.

    ids, categories, splits: one entry per shape.
    """

    def __init__(self, root: str | Path, cache: FileCache | None = None) -> None:
        super().__init__(root, format=OCCUPANCY, open=ShardFile, cache=cache)

    @property
    def up(self) -> Up | None:
        """The axis that points up in all shapes, if `lagem prepare --up` gave it."""
        settings = self.header.get("settings")
        up: Up | None = settings.get("up") if isinstance(settings, dict) else None
        return up if up in ("y", "z") else None

    def count(self, index: int, pool: str) -> int:
        """Number of points of shape `index` in a pool."""
        shard, row = self.location(index)
        return shard.count(row, checked(pool))

    def read(self, index: int, pool: str, start: int = 0, count: int | None = None) -> NDArray[np.float32]:
        """A window of a pool; a fair sample of it at any start, as pools are in random order.

        Args:
            index: Index of the shape.
            pool: surface_points, surface_normals, volume_inside, volume_outside, near_inside or near_outside.
            start: First row; the window wraps around at the end of the pool.
            count: Number of rows, which may exceed that of the pool; None for the whole pool once.

        Returns:
            (count, 3) float32 in the unit-sphere frame; ValueError if the pool is empty.
        """
        shard, row = self.location(index)
        return shard.read(row, checked(pool), start, shard.count(row, pool) if count is None else count)

    def frame(self, index: int) -> Frame:
        """Map between the source of shape `index` and the unit sphere."""
        shard, row = self.location(index)
        return shard.frame(row)

    def volume_drawn(self, index: int) -> tuple[int, int]:
        """Numbers of uniform draws from the ball that the volume pools stand for, (inside, outside).

        A point of a pool represents `1 / drawn` of the ball, so the inside fraction of the ball is
        count("volume_inside") / drawn[0], even for a thin shape with additional draws inside.
        """
        shard, row = self.location(index)
        return shard.volume_drawn(row)


def labelled(
    shards: Shards, index: int, kind: Literal["volume", "near"]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """All stored queries of a kind, (Q, 3), those inside first, and their occupancy (Q,); either side may be empty."""
    pools = [f"{kind}_inside", f"{kind}_outside"]
    counts = [shards.count(index, pool) for pool in pools]
    sides = [shards.read(index, pool) for pool, count in zip(pools, counts, strict=True) if count]
    points = np.concatenate([np.empty((0, 3), dtype=np.float32), *sides])
    return points, np.arange(len(points)) < counts[0]


def random_window(shards: Shards, index: int, pool: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, 3) consecutive points of a pool from a random row, repeated if the pool has fewer."""
    return shards.read(index, pool, int(rng.integers(max(shards.count(index, pool), 1))), count)


def unread_splits(splits: Iterable[str]) -> str:
    """A warning that names the splits of shapes that `lagem fit` does not read; empty if it reads all."""
    counts = Counter(splits)
    unread = [f"{split!r} ({count})" for split, count in sorted(counts.items()) if split not in SPLITS_OF_FIT]
    if not unread:
        return ""
    return (
        f"warning: `lagem fit` reads the splits {', '.join(SPLITS_OF_FIT)}, but not {', '.join(unread)}; write the "
        "splits so in the manifest if these shapes are meant for it."
    )


def checked(pool: str) -> str:
    """The pool's name, or a ValueError that lists the names."""
    if pool not in POOLS:
        raise ValueError(f"there is no pool {pool!r}; use one of {', '.join(POOLS)}.")
    return pool
