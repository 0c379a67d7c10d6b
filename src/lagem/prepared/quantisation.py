"""Quantisation of points and normals: integers times a fixed step per pool.

Positions take 16 bits per coordinate instead of 32. The error, at most half a step (2.6e-5 in the volume, 1.9e-5 near
the surface), is harmless because labels are computed for the rounded position. The steps belong to version 1 of the
format; docs/data-format.md repeats them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import QUERY_BALL_RADIUS

SURFACE_LIMIT = 1.25  # surface and near points lie in |x| <= 1.25; near points outside are redrawn

# the stored arrays of a shape: name, integer type, and step between neighbouring values
POOLS: dict[str, tuple[type[np.signedinteger[Any]], float]] = {
    "surface_points": (np.int16, SURFACE_LIMIT / 32767),
    "surface_normals": (np.int8, 1 / 127),
    "volume_inside": (np.int16, QUERY_BALL_RADIUS / 32767),
    "volume_outside": (np.int16, QUERY_BALL_RADIUS / 32767),
    "near_inside": (np.int16, SURFACE_LIMIT / 32767),
    "near_outside": (np.int16, SURFACE_LIMIT / 32767),
}


def encode(pool: str, values: NDArray[np.floating]) -> NDArray[np.signedinteger]:
    """(N, 3) coordinates or normals as the pool's integers, rounded to the nearest step."""
    dtype, step = POOLS[pool]
    whole = np.rint(np.asarray(values, dtype=np.float64) / step)
    assert whole.size == 0 or np.abs(whole).max() <= np.iinfo(dtype).max, f"{pool} out of range"
    return whole.astype(dtype)


def decode(pool: str, stored: NDArray[np.signedinteger]) -> NDArray[np.float32]:
    """(N, 3) float32 of a pool's integers: the integer times the step, both as float32."""
    return stored.astype(np.float32) * np.float32(POOLS[pool][1])


def stored_row(pool: str) -> int:
    """Bytes of one row of a pool."""
    return 3 * np.dtype(POOLS[pool][0]).itemsize
