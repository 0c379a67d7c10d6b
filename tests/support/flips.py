"""Single bits flipped at random positions of a file, as rot on a disk or in a copy flips them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np


def flipped_copies(content: bytes, count: int, *, seed: int = 0, header: int | None = None) -> Iterator[bytes]:
    """Copies of a content with one flipped bit each.

    Args:
        content: The content of a file.
        count: Number of copies.
        seed: Seed of the positions.
        header: Bytes at the beginning that get half of the flips; None for positions drawn from all bytes.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        end = header if header is not None and number % 2 else len(content)
        copy = bytearray(content)
        copy[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
        yield bytes(copy)


def header_length(content: bytes) -> int:
    """Bytes of a safetensors file before its arrays."""
    return 8 + int.from_bytes(content[:8], "little")


def accepted(path: Path, copies: Iterator[bytes], read: Callable[[Path], Any], equal: Callable[[Any], bool]) -> int:
    """Number of copies that were read; each gave the undamaged result, all others one line that names the file."""
    count = 0
    for copy in copies:
        path.write_bytes(copy)
        try:
            assert equal(read(path))
            count += 1
        except ValueError as error:
            assert "\n" not in str(error) and path.name in str(error), str(error)
    return count
