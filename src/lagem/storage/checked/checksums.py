"""Checksums in a file: a CRC-32 of its description, of each small array, and of each run of rows of a large one.

They are the entry `crc32` of the description, and arrays `crc32.NAME` for the runs of rows of the array NAME; readers
that do not know them ignore both. Files without them, written by earlier versions, are read unchecked. CRC-32 finds
every single flipped bit, and all but one in four billion of other changes; it is no protection against intent.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.storage.checked.description import Description

ENTRY = "crc32"
Array = NDArray[Any]


def with_checksums(description: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A description with its own checksum and those of arrays, which are contiguous."""
    return {
        **description,
        ENTRY: {
            "description": _checksum_of(description),
            "arrays": {name: zlib.crc32(array.data) for name, array in arrays.items()},
        },
    }


def row_checksums(runs: Iterable[Array]) -> NDArray[np.int64]:
    """Checksums of runs of rows, in order."""
    return np.array([zlib.crc32(run.data) for run in runs], dtype=np.int64)


def name_of_row_checksums(array: str) -> str:
    """Name of the array with the checksums of an array's runs of rows."""
    return f"{ENTRY}.{array}"


class Checksums:
    """The checksums that a description holds; the description itself is checked at once.

    present: whether the file has checksums.

    Args:
        description: The description of the file.
        arrays: Names of the arrays in the file.

    Raises:
        ValueError: If the description does not match its checksum, or names other arrays than those in the file.
    """

    def __init__(self, description: Description, arrays: Iterable[str]) -> None:
        self._description, self._of_arrays = description, None
        self.present = ENTRY in description
        if self.present:
            entry = description.object(ENTRY)
            self._of_arrays = entry.object("arrays")
            own = {name: value for name, value in description.values.items() if name != ENTRY}
            if entry.integer("description") != _checksum_of(own):
                raise description.damaged("damaged: its description does not match its checksum")
            whole = set(self._of_arrays.values)
            in_runs = {name.removeprefix(f"{ENTRY}.") for name in whole if name.startswith(f"{ENTRY}.")}
            if other := sorted((whole | in_runs) ^ set(arrays)):
                raise description.damaged(f"damaged: array {other[0][:100]!r} is missing, or has no checksum")

    def check(self, name: str, array: Array) -> None:
        """Raise ValueError if a contiguous array does not match its checksum, or has none in a file with checksums."""
        if self._of_arrays is not None and self._of_arrays.integer(name) != zlib.crc32(array.data):
            raise self._description.damaged(f"damaged: array {name} does not match its checksum")


class RunsOfRows:
    """Checksums of the runs of rows of one array; each run is checked when it is first read, and then remembered.

    Args:
        description: The description of the file.
        array: Name of the array in messages.
        checksums: (R,) integers, one for each run.
    """

    def __init__(self, description: Description, array: str, checksums: NDArray[np.int64]) -> None:
        self._description, self._array = description, array
        self._checksums, self._verified = checksums, bytearray(len(checksums))

    def are_verified(self, first: int, last: int) -> bool:
        """Whether runs `first` to `last` - 1 were checked before."""
        return self._verified.find(0, first, last) < 0

    def check(self, first: int, runs: Iterable[Array], shape: str) -> None:
        """Check consecutive runs from number `first` on; ValueError naming a shape if one does not match."""
        for number, rows in enumerate(runs, start=first):
            if zlib.crc32(rows.data) != self._checksums[number]:
                raise self._description.damaged(
                    f"damaged: {self._array} of shape {shape!r} does not match its checksum"
                )
            self._verified[number] = 1


def _checksum_of(description: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(description, sort_keys=True).encode())
