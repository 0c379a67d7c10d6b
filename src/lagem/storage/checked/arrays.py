"""Safetensors files: a description, and arrays whose type, shape and checksum are checked before they are used.

The safetensors library checks that the arrays fill the file without overlap. This module checks the
size of the header, the description, and whether numpy supports the arrays' types and shapes.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lagem.storage.checked.checksums import Checksums
from lagem.storage.checked.description import Description, parse_description
from lagem.storage.names import NameRefused, regular

MOST_HEADER = 16 * 2**20  # bytes; parsing takes up to 25 times as much memory
MOST_SIZES, MOST_SIZE = 8, 2**40  # number of axes of an array, and its size along one axis
NAMED = re.compile(" for tensor `.*?`", re.DOTALL)  # if several are wrong, safetensors names another one each time

Shape = tuple[int | None, ...]  # None stands for any size


class ArrayFile:
    """An open safetensors file; an array is read when a method asks for it.

    names: names of the arrays.
    description: the JSON object in the file's metadata; empty if the metadata lack it.
    checksums: the checksums in the description; set by `verify_description`.

    Args:
        path: The file.
        entry: Key of the description in the metadata.
        what: What the file should be, for messages, such as `a shard`.
        remedy: What a user can do if the file is damaged.
        framework: `numpy` to read numpy arrays, or `pt` to read torch tensors. The method `array` works only with
            `numpy`, because checksums are not computed for torch tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a safetensors file, or is damaged.
    """

    def __init__(
        self, path: Path, *, entry: str, what: str, remedy: str, framework: Literal["numpy", "pt"] = "numpy"
    ) -> None:
        try:
            with regular(path).open("rb") as file:
                header = int.from_bytes(file.read(8), "little")
            if header > MOST_HEADER:
                raise ValueError(f"its header has {header:,} bytes, but at most {MOST_HEADER:,} are read")
            self._file: Any = safe_open(path, framework=framework)
            metadata: dict[str, str] = self._file.metadata() or {}
            self.names: list[str] = list(self._file.keys())
        except (FileNotFoundError, NameRefused):
            raise
        except (SafetensorError, OSError, ValueError) as error:
            reason = NAMED.sub("", str(error))
            raise ValueError(f"{path}: not {what}, or a damaged one ({reason}); {remedy}.") from None
        self.description: Description = parse_description(metadata.get(entry, "{}"), str(path), remedy=remedy)

    def verify_description(self) -> None:
        """Check the description against its checksum, and read the checksums of the arrays."""
        self.checksums = Checksums(self.description, self.names)

    def check(self, name: str, types: Sequence[str], shape: Shape | None = None) -> tuple[int, ...]:
        """Check the type and the shape of an array, and return its shape.

        Args:
            name: Name of the array.
            types: The types that are accepted, as safetensors names them.
            shape: The shape that the array must have; None for any.

        Raises:
            ValueError: If the array is missing, or has another type or shape.
        """
        if name not in self.names:
            raise self.description.damaged(f"damaged: array {name} is missing")
        stored = self._file.get_slice(name)
        found = tuple(stored.get_shape())
        if stored.get_dtype() not in types or not (found == shape or _fits(found, shape)):
            raise self.description.damaged(
                f"damaged: array {name} is {stored.get_dtype()} {_in_words(found)}, but must be "
                f"{' or '.join(types)}{'' if shape is None else f' {_in_words(shape)}'}"
            )
        return found

    def array(self, name: str, type: str, shape: Shape) -> NDArray[Any]:
        """Read a small array whole, and check its type, its shape and its checksum."""
        self.check(name, [type], shape)
        values: NDArray[np.generic] = self._file.get_tensor(name)
        self.checksums.check(name, values)
        return values

    def rows(self, name: str) -> Any:
        """Return an array that can be sliced; only the rows of a slice are read."""
        return self._file.get_slice(name)

    def tensor(self, name: str) -> Any:
        """Read an array without checks, as an array or tensor of `framework`."""
        return self._file.get_tensor(name)


def _fits(found: Shape, expected: Shape | None) -> bool:
    """Return whether a shape matches the expected one (None: any), and numpy and torch support it.

    Both libraries refuse 65 axes, and an axis of size 2^62 even if another axis has size 0.
    """
    if len(found) > MOST_SIZES or any(size is not None and size > MOST_SIZE for size in found):
        return False
    return expected is None or (
        len(found) == len(expected) and all(b in (None, a) for a, b in zip(found, expected, strict=True))
    )


def _in_words(shape: Shape) -> str:
    return "(" + ", ".join("·" if size is None else str(size) for size in shape[:8]) + ")"
