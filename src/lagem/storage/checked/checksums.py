"""Checksums (CRC-32) in a file: one of its description, one of each small array, and several of each large array.

A large array is split into runs, which are blocks of consecutive rows, and each run has a checksum. The checksums of
the runs of an array NAME are stored in the array `crc32.NAME`. All other checksums are stored in the description, in
its entry `crc32`. Readers that do not know checksums ignore them. Files of earlier versions have none and are read
unchecked. CRC-32 detects every change of a single bit, and misses about one in four billion other changes. It does
not protect against manipulation.
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
    """Return a copy of a description, with the checksums of the description and of some contiguous arrays added."""
    return {
        **description,
        ENTRY: {
            "description": _checksum_of(description),
            "arrays": {name: zlib.crc32(array.data) for name, array in arrays.items()},
        },
    }


def row_checksums(runs: Iterable[Array]) -> NDArray[np.int64]:
    """Return one checksum for each run (a block of consecutive rows), in order."""
    return np.array([zlib.crc32(run.data) for run in runs], dtype=np.int64)


def name_of_row_checksums(array: str) -> str:
    """Return the name of the array in which the checksums of the rows of `array` are stored."""
    return f"{ENTRY}.{array}"


class Checksums:
    """The checksums in a file's description. The description itself is checked at construction.

    present: whether the file has checksums.

    Args:
        description: The description of the file.
        arrays: Names of the arrays in the file.

    Raises:
        ValueError: If the description does not match its checksum, or an array in the file has no checksum, or an array
            with a checksum is missing from the file.
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
        """Raise ValueError if an array does not match its checksum, or has none although the file has checksums.

        Nothing is checked if the file has no checksums at all.

        Args:
            name: Name of the array in the file.
            array: Its content, contiguous in memory.
        """
        if self._of_arrays is not None and self._of_arrays.integer(name) != zlib.crc32(array.data):
            raise self._description.damaged(f"damaged: array {name} does not match its checksum")


class RunsOfRows:
    """The checksums of the runs (blocks of consecutive rows) of one array, and which runs have been verified.

    Args:
        description: The description of the file.
        array: Name of the array in messages.
        checksums: (R,) checksums of the runs.
    """

    def __init__(self, description: Description, array: str, checksums: NDArray[np.int64]) -> None:
        self._description, self._array = description, array
        self._checksums, self._verified = checksums, bytearray(len(checksums))

    def are_verified(self, first: int, last: int) -> bool:
        """Return whether all runs (blocks of consecutive rows) from `first` to `last` - 1 have been verified before."""
        return self._verified.find(0, first, last) < 0

    def check(self, first: int, runs: Iterable[Array], shape: str) -> None:
        """Compare consecutive runs (blocks of consecutive rows) with their checksums.

        Args:
            first: Number of the first run.
            runs: The rows of each run.
            shape: Id of the shape that the runs belong to, for messages.

        Raises:
            ValueError: If a run does not match its checksum.
        """
        for number, rows in enumerate(runs, start=first):
            if zlib.crc32(rows.data) != self._checksums[number]:
                raise self._description.damaged(
                    f"damaged: {self._array} of shape {shape!r} does not match its checksum"
                )
            self._verified[number] = 1


def _checksum_of(description: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(description, sort_keys=True).encode())
