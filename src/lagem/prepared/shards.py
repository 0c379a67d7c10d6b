"""Reader of a prepared folder.

A pool holds all stored points of one kind, such as `surface_points`. A window consists of consecutive rows of one pool
of one shape; only the rows of the window are read from the file.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame, Up, stated_up
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import OCCUPANCY, ShardFile
from lagem.storage.file_cache import FileCache
from lagem.storage.sharded_folder import ShardedFolder

SPLITS_OF_FIT = ("train", "val", "test")


class Shards(ShardedFolder[ShardFile]):
    """All shapes of a folder that `lagem prepare` wrote, in the order of its index (sorted by id).

    It can be pickled and used after a fork, since each process opens the files itself.

    ids, categories, splits: one entry per shape.
    """

    def __init__(self, root: str | Path, cache: FileCache | None = None) -> None:
        super().__init__(root, format=OCCUPANCY, open=ShardFile, cache=cache)

    @property
    def up(self) -> Up | None:
        """The axis that points up in all shapes; None if the folder was made without `lagem prepare --up`."""
        return stated_up(self.header.get("settings"))

    def count(self, index: int, pool: str) -> int:
        """Return the number of points of shape `index` in a pool."""
        shard, row = self.location(index)
        return shard.count(row, checked(pool))

    def read(self, index: int, pool: str, start: int = 0, count: int | None = None) -> NDArray[np.float32]:
        """Read a window of a pool. Pools are in random order, so a window at any position is a fair sample of the pool.

        Args:
            index: Index of the shape.
            pool: surface_points, surface_normals, volume_inside, volume_outside, near_inside or near_outside.
            start: First row; the window wraps around at the end of the pool.
            count: Number of rows, which may exceed the number in the pool; None for every row once.

        Returns:
            (count, 3) float32 in the unit-sphere frame.

        Raises:
            ValueError: If the pool is empty, unknown or damaged.
        """
        shard, row = self.location(index)
        return shard.read(row, checked(pool), start, shard.count(row, pool) if count is None else count)

    def frame(self, index: int) -> Frame:
        """Return the frame that maps the original coordinates of shape `index` to the unit sphere and back."""
        shard, row = self.location(index)
        return shard.frame(row)

    def volume_drawn(self, index: int) -> tuple[int, int]:
        """Return (inside, outside): for each volume pool of a shape, the number of uniform draws that it represents.

        The pool holds as many points as this number of draws from the ball gives, on average, with the pool's label. So
        a point of the pool represents the fraction 1 / draws of the ball, and the fraction of the ball that is inside
        the shape is the number of points in `volume_inside` divided by the draws for this pool. This also holds for a
        thin shape, for which additional points were drawn inside.
        """
        shard, row = self.location(index)
        return shard.volume_drawn(row)


def labelled(
    shards: Shards, index: int, kind: Literal["volume", "near"]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read all stored queries of one kind.

    Returns:
        (Q, 3) queries, first those inside and then those outside, and their (Q,) occupancy. There may be no query
        inside, or none outside.
    """
    pools = [f"{kind}_inside", f"{kind}_outside"]
    counts = [shards.count(index, pool) for pool in pools]
    sides = [shards.read(index, pool) for pool, count in zip(pools, counts, strict=True) if count]
    points = np.concatenate([np.empty((0, 3), dtype=np.float32), *sides])
    return points, np.arange(len(points)) < counts[0]


def random_window(shards: Shards, index: int, pool: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (count, 3) consecutive points of a pool, starting at a random row and wrapping around at the end."""
    return shards.read(index, pool, int(rng.integers(max(shards.count(index, pool), 1))), count)


def unread_splits(splits: Iterable[str]) -> str:
    """Return a warning that names the given splits that `lagem fit` does not read; empty if it reads all of them.

    Args:
        splits: The split of each shape.
    """
    counts = Counter(splits)
    unread = [f"{split!r} ({count})" for split, count in sorted(counts.items()) if split not in SPLITS_OF_FIT]
    if not unread:
        return ""
    return (
        f"warning: `lagem fit` reads the splits {', '.join(SPLITS_OF_FIT)}, but not these (with the "
        f"number of shapes): {', '.join(unread)}. To train on these shapes, rename their splits in the manifest."
    )


def checked(pool: str) -> str:
    """Return the name of a pool; raises ValueError, with a list of the names, if there is no such pool."""
    if pool not in POOLS:
        raise ValueError(f"there is no pool {pool!r}; use one of {', '.join(POOLS)}.")
    return pool
