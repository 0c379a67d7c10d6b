"""Quantisation of points and normals: each coordinate is stored as an integer number of steps of a fixed size.

Each pool, such as `surface_points`, has its own step. A coordinate of a position takes 16 bits instead of 32. The error
of a coordinate is at most half a step: 2.6e-5 for volume queries, and 1.9e-5 for surface points and near queries, in
unit-sphere units. The error is harmless, because labels are computed for the rounded positions. The steps belong to
version 1 of the format; docs/data-format.md repeats them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import QUERY_BALL_RADIUS

SURFACE_LIMIT = 1.25  # largest absolute coordinate of surface and near points; near points beyond it are redrawn

# the pools, which are the stored arrays of a shape: name, integer type, and step between neighbouring values
POOLS: dict[str, tuple[type[np.signedinteger[Any]], float]] = {
    "surface_points": (np.int16, SURFACE_LIMIT / 32767),
    "surface_normals": (np.int8, 1 / 127),
    "volume_inside": (np.int16, QUERY_BALL_RADIUS / 32767),
    "volume_outside": (np.int16, QUERY_BALL_RADIUS / 32767),
    "near_inside": (np.int16, SURFACE_LIMIT / 32767),
    "near_outside": (np.int16, SURFACE_LIMIT / 32767),
}


def encode(pool: str, values: NDArray[np.floating]) -> NDArray[np.signedinteger]:
    """Convert (N, 3) coordinates or normals to the integers that a pool stores: the nearest multiples of its step."""
    dtype, step = POOLS[pool]
    whole = np.rint(np.asarray(values, dtype=np.float64) / step)
    assert whole.size == 0 or np.abs(whole).max() <= np.iinfo(dtype).max, f"{pool} out of range"
    return whole.astype(dtype)


def decode(pool: str, stored: NDArray[np.signedinteger]) -> NDArray[np.float32]:
    """Convert (N, 3) integers of a pool to float32 coordinates or normals, by multiplying them by the pool's step."""
    return stored.astype(np.float32) * np.float32(POOLS[pool][1])


def stored_row(pool: str) -> int:
    """Return the number of bytes that one row of a pool takes."""
    return 3 * np.dtype(POOLS[pool][0]).itemsize
