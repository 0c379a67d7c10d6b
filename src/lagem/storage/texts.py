"""Columns of text for large data sets, in a few blocks of memory.

A list of 600,000 strings is 600,000 objects. A forked loader process writes to every object it reads (Python counts
references in it), so the system copies the shared pages one by one, and memory grows over an epoch. Arrays of numbers
and one long text stay shared.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class _TextSequence(Sequence[str]):
    """Base of both columns: slices are lists, and columns compare like lists."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._text(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} texts")
        return self._text(index % len(self))

    def __iter__(self) -> Iterator[str]:
        return (self._text(index) for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def _text(self, index: int) -> str:
        raise NotImplementedError


class Texts(_TextSequence):
    """Texts that differ, such as ids: one long text, and the position at which each ends."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._content, self._ends = bytearray(), array("q", [0])
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        self._content += text.encode()
        self._ends.append(len(self._content))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def _text(self, index: int) -> str:
        return self._content[self._ends[index] : self._ends[index + 1]].decode()


class Labels(_TextSequence):
    """Texts that repeat, such as categories.

    names: the distinct texts, in the order of first use.
    codes: (n,) int32, index in `names` of each entry.
    """

    def __init__(self, names: Sequence[str], codes: NDArray[np.integer[Any]]) -> None:
        self.names, self.codes = list(names), np.asarray(codes, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.codes)

    def _text(self, index: int) -> str:
        return self.names[self.codes[index]]
