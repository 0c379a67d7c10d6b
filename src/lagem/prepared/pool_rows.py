"""Reader of the rows of one pool (an array such as `surface_points`) of a shard.

The rows of each shape are divided into runs of RUN rows, and each run has a checksum. The last run of a shape may be
shorter. When rows are read for the first time, their runs are verified.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.prepared.quantisation import POOLS
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import RunsOfRows, name_of_row_checksums, row_checksums

RUN = 1024  # a window of 8192 rows touches up to 9 runs, so up to 1024 more rows are read


def checksums_of_shapes(shapes: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Split the rows of each shape into runs of RUN rows, and return the checksums of all runs, shape after shape."""
    return row_checksums(rows[first : first + RUN] for rows in shapes for first in range(0, len(rows), RUN))


class PoolRows:
    """The rows of one pool, for all shapes of a shard.

    Args:
        file: The shard.
        pool: Name of the pool.
        offsets: (S + 1,) first row of each of the S shapes, and at the end the number of all rows.
    """

    def __init__(self, file: ArrayFile, pool: str, offsets: NDArray[np.int64]) -> None:
        (length, _) = file.check(pool, [f"I{8 * np.dtype(POOLS[pool][0]).itemsize}"], (None, 3))
        counts = offsets[1:] - offsets[:-1]
        if offsets[0] != 0 or offsets[-1] != length or (counts < 0).any():
            raise file.description.damaged(f"damaged: {pool}.offsets do not match the {length} rows of {pool}")
        self._rows, self._first, self._counts = file.rows(pool), offsets, counts
        self._runs: RunsOfRows | None = None
        if file.checksums.present:
            self._runs_until = (-(-counts // RUN)).cumsum()
            number = int(self._runs_until[-1]) if len(counts) else 0
            checksums = file.array(name_of_row_checksums(pool), "I64", (number,))
            self._runs = RunsOfRows(file.description, pool, checksums)

    def read(self, shape: int, start: int, stop: int, id: str) -> NDArray[np.signedinteger]:
        """Return consecutive rows of a shape, after they were verified.

        Args:
            shape: Index of the shape in the shard.
            start: First row to read, counted within the shape.
            stop: The row after the last one to read.
            id: Id of the shape, for messages.

        Raises:
            ValueError: If the rows do not match their checksums.
        """
        first = int(self._first[shape])
        if self._runs is None:
            return self._rows[first + start : first + stop]
        low, high = start // RUN, -(-stop // RUN)
        before = int(self._runs_until[shape - 1]) if shape else 0
        if self._runs.are_verified(before + low, before + high):
            return self._rows[first + start : first + stop]
        wide = self._rows[first + low * RUN : first + min(high * RUN, int(self._counts[shape]))]
        self._runs.check(before + low, (wide[row : row + RUN] for row in range(0, len(wide), RUN)), id)
        return wide[start - low * RUN : stop - low * RUN]
