"""Reads and writes arrays in npz and npy files. An array's header is checked against the size of the array's data.

Nothing is unpickled: arrays of objects are refused, as are structured types, strings and dates.
"""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.storage.atomic import write_bytes
from lagem.storage.checked.zip_file import ZipMembers
from lagem.storage.names import regular

MOST_BYTES = 2**30  # of one array
MOST_HEADER = 10_000  # characters; numpy parses the header as a Python literal
MOST_AXES = 4


class NpzFile:
    """The arrays of an npz file, as `numpy.savez` and `numpy.savez_compressed` write them; use it in a `with` block.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or is not an npz file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._members = path, ZipMembers(path)

    def __enter__(self) -> "NpzFile":
        return self

    def __exit__(self, *error: object) -> None:
        self._members.__exit__(*error)

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._members

    def array(self, name: str) -> NDArray[Any]:
        """Return an array of numbers or booleans; raises ValueError if it is missing, damaged or of another type."""
        if name not in self:
            held = [member.removesuffix(".npy") for member in self._members.names]
            shown = ", ".join(held[:12]) + (", …" if len(held) > 12 else "")
            raise ValueError(f"{self._path}: has no array {name!r}, only {shown}; name another array, or another file.")
        return _parsed(self._members.read(f"{name}.npy", at_most=MOST_BYTES), f"{self._path}: {name}")


def read_npy(path: Path) -> NDArray[Any]:
    """Return the array of an npy file; raises ValueError if it is damaged or does not hold numbers or booleans."""
    with regular(path).open("rb") as file:
        return _parsed(file.read(MOST_BYTES + 1), str(path))


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an npz file without compression, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getbuffer())


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write an npy file, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write_bytes(path, content.getbuffer())


def _parsed(content: bytes, name: str) -> NDArray[Any]:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format is not read")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = reader(file, max_header_size=MOST_HEADER)
        data = memoryview(content)[file.tell() :]
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise ValueError(f"its type is {dtype}")
        if len(shape) > MOST_AXES or not all(0 <= size <= MOST_BYTES for size in shape):
            raise ValueError(f"its shape is {shape}")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"its shape {shape} of {dtype} does not match its {len(data):,} bytes")
    except Exception as error:  # the header is parsed as a Python literal, which fails in many ways
        text = " ".join(str(error).split())
        raise ValueError(
            f"{name}: is damaged, or is not an array of numbers ({text:.200}); fetch the file again."
        ) from None
    flat = np.frombuffer(data, dtype=dtype)
    array = flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
