"""Flip single bits at random positions of a file, as decaying disks and faulty copies do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def flipped_copies(content: bytes, count: int, *, seed: int = 0, header: int | None = None) -> Iterator[bytes]:
    """Yield copies of the content of a file, each with one flipped bit.

    Args:
        content: The content of a file.
        count: Number of copies.
        seed: Seed of the positions.
        header: Number of bytes at the beginning that get half of the flips; None to draw positions from all bytes.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        end = header if header is not None and number % 2 else len(content)
        copy = bytearray(content)
        copy[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
        yield bytes(copy)


def header_length(content: bytes) -> int:
    """Return the number of bytes before the arrays of a safetensors file."""
    return 8 + int.from_bytes(content[:8], "little")


def accepted(path: Path, copies: Iterator[bytes], read: Callable[[Path], Any], equal: Callable[[Any], bool]) -> int:
    """Read all copies; return how many were read without an error.

    A copy that is read without an error must give the undamaged result. The error of any other copy must be one line
    that names the file.
    """
    count = 0
    for copy in copies:
        path.write_bytes(copy)
        try:
            assert equal(read(path))
            count += 1
        except ValueError as error:
            assert "\n" not in str(error) and path.name in str(error), str(error)
    return count
