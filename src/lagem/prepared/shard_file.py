"""A shard: one safetensors file with the arrays of S shapes, which is read by slices and never unpickled.

A pool is an array, such as `surface_points`, with the rows of all shapes, one shape after another. For each pool, the
array `<pool>.offsets` (S + 1,) holds the index of each shape's first row, and last the total number of rows. Frames and
counts are stored in arrays with a row for each shape. Texts and `near_sigmas` are stored as JSON in the header. A shape
that is not packed yet is stored in the same format, with S = 1. docs/data-format.md describes every field.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lagem.geometry.frame import Frame
from lagem.prepared.pool_rows import PoolRows, checksums_of_shapes
from lagem.prepared.quantisation import POOLS, decode
from lagem.storage.atomic import write_bytes
from lagem.storage.checked.checksums import name_of_row_checksums
from lagem.storage.folder_format import FolderFormat

OCCUPANCY = FolderFormat(
    name="lagem-occupancy",
    version=1,
    kind="prepared folder",
    command="lagem prepare",
    usage="prepare meshes with `lagem prepare MESHES... --output {root}`",
)


@dataclass(frozen=True, kw_only=True)
class ShapeArrays:
    """One prepared shape, in the form in which it is stored.

    faces: number of faces of the source mesh.
    volume_drawn_inside: number of uniform draws from the ball that give, on average, as many points inside the shape as
        the pool `volume_inside` has.
    volume_drawn_outside: number of uniform draws from the ball that give, on average, as many points outside the shape
        as the pool `volume_outside` has.
    near_sigmas: standard deviations of the jitter of near queries, in unit-sphere units.
    pools: for each name in `quantisation.POOLS`, (N, 3) integers.
    """

    id: str
    category: str
    split: str
    frame: Frame
    faces: int
    volume_drawn_inside: int
    volume_drawn_outside: int
    near_sigmas: tuple[float, ...]
    pools: dict[str, NDArray[np.signedinteger]] = field(repr=False)


def write_shard(path: Path, shapes: list[ShapeArrays], *, flush: bool = True) -> None:
    """Write shapes into one file, whole or not at all; the bytes of the file depend on the shapes alone.

    `flush` is that of `write_bytes`.
    """
    small: dict[str, NDArray[Any]] = {
        "center": np.array([shape.frame.center for shape in shapes], dtype=np.float64).reshape(-1, 3),
        "scale": np.array([shape.frame.scale for shape in shapes], dtype=np.float64),
        "faces": np.array([shape.faces for shape in shapes], dtype=np.int64),
        "volume_drawn_inside": np.array([shape.volume_drawn_inside for shape in shapes], dtype=np.int64),
        "volume_drawn_outside": np.array([shape.volume_drawn_outside for shape in shapes], dtype=np.int64),
    }
    for pool in POOLS:
        rows = [shape.pools[pool] for shape in shapes]
        small[f"{pool}.offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        small[name_of_row_checksums(pool)] = checksums_of_shapes(rows)
    metadata = OCCUPANCY.metadata(
        small,
        ids=[shape.id for shape in shapes],
        categories=[shape.category for shape in shapes],
        splits=[shape.split for shape in shapes],
        near_sigmas=[list(shape.near_sigmas) for shape in shapes],
    )
    pools = {pool: np.concatenate([shape.pools[pool] for shape in shapes]) for pool in POOLS}
    write_bytes(path, save(small | pools, metadata=metadata), flush=flush)


class ShardFile:
    """A shard that is open for reading; only the requested rows are copied from the memory map.

    The description and the small arrays are verified when the shard is opened, and the rows of a pool when they are
    first read.

    path: the file.
    ids, categories, splits, faces: one entry per shape.
    offsets: for each pool, (S + 1,) first row of each shape, and at the end the number of all rows.
    has_checksums: whether the shard has checksums; shards of earlier versions have none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file = OCCUPANCY.opened(path)
        self._about = about = file.description
        self.ids = about.texts("ids")
        count = len(self.ids)
        self.categories, self.splits = (about.texts(name, length=count) for name in ("categories", "splits"))
        self._near_sigmas = [tuple(sigmas) for sigmas in about.lists_of_numbers("near_sigmas", length=count)]
        self.has_checksums = file.checksums.present
        self.faces = file.array("faces", "I64", (count,))
        center, scale = file.array("center", "F64", (count, 3)), file.array("scale", "F64", (count,))
        self._frames = Frame.of_rows(center, scale, source=path)
        self._drawn = [file.array(f"volume_drawn_{side}", "I64", (count,)) for side in ("inside", "outside")]
        self.offsets = {pool: file.array(f"{pool}.offsets", "I64", (count + 1,)) for pool in POOLS}
        self._pools = {pool: PoolRows(file, pool, self.offsets[pool]) for pool in POOLS}

    def count(self, row: int, pool: str) -> int:
        """Return the number of points of a shape in a pool."""
        return int(self.offsets[pool][row + 1] - self.offsets[pool][row])

    def stored(self, row: int, pool: str, start: int, count: int) -> NDArray[np.signedinteger]:
        """Read points (or normals) of one shape from a pool, as the integers that are stored.

        Args:
            row: Index of the shape in the shard.
            pool: Name of the pool.
            start: Index of the first point to read; 0 is the shape's first point. After its last point, reading goes
                on with its first.
            count: Number of points.

        Returns:
            (count, 3) integers.

        Raises:
            ValueError: If the shape has no point in the pool, or the points are damaged.
        """
        length = self.count(row, pool)
        if length == 0:
            raise ValueError(f"shape {self.ids[row]!r} has no point in {pool}; prepare it again with more queries.")
        pieces, start = [], start % length
        while count > 0:
            taken = min(length - start, count)
            pieces.append(self._pools[pool].read(row, start, start + taken, self.ids[row]))
            count, start = count - taken, 0
        return np.concatenate([empty(pool), *pieces])

    def read(self, row: int, pool: str, start: int, count: int) -> NDArray[np.float32]:
        """Return what `stored` returns, decoded to unit-sphere coordinates or normals."""
        return decode(pool, self.stored(row, pool, start, count))

    def verify(self, row: int) -> None:
        """Raise ValueError if a stored array of a shape does not match its checksums."""
        self.shape(row)

    def frame(self, row: int) -> Frame:
        """Return the frame that maps the original coordinates of a shape to the unit sphere and back."""
        return self._frames[row]

    def volume_drawn(self, row: int) -> tuple[int, int]:
        """Return (inside, outside): for each volume pool of a shape, the number of uniform draws that it represents.

        The pool holds as many points as this number of draws from the ball gives, on average, with the pool's label.
        """
        inside, outside = (int(drawn[row]) for drawn in self._drawn)
        if min(inside, outside) < 1:
            raise self._about.damaged(
                f"damaged: the queries of shape {self.ids[row]!r} represent {min(inside, outside)} draws, fewer than 1"
            )
        return inside, outside

    def shape(self, row: int) -> ShapeArrays:
        """Read one shape with all its arrays, as it was written."""
        inside, outside = self.volume_drawn(row)
        return ShapeArrays(
            id=self.ids[row],
            category=self.categories[row],
            split=self.splits[row],
            frame=self.frame(row),
            faces=int(self.faces[row]),
            volume_drawn_inside=inside,
            volume_drawn_outside=outside,
            near_sigmas=self._near_sigmas[row],
            pools={
                pool: self.stored(row, pool, 0, length) if (length := self.count(row, pool)) else empty(pool)
                for pool in POOLS
            },
        )


def empty(pool: str) -> NDArray[np.signedinteger]:
    """Return an empty (0, 3) array of a pool's integer type."""
    return np.empty((0, 3), POOLS[pool][0])
