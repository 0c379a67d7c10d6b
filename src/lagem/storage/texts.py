"""Columns of text as large as a data set, in a few pieces of memory.

A list of 600,000 strings is 600,000 objects. A loading process that was forked writes to each object that it looks
at (Python counts references in it), so the system copies page by page what was shared, and memory grows over an
epoch. Arrays of numbers and one long text stay shared.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class _TextSequence(Sequence[str]):
    """What both kinds of column do alike: slices are lists, and equality is that of lists."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._text(place) for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no text {index} of {len(self)}")
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
    """Texts that differ, as ids do: all of them one after another, and where each ends."""

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
    """Texts that repeat, as categories do.

    names: each of them once, in the order of first use.
    codes: (n,) int32, place in `names` of each entry.
    """

    def __init__(self, names: Sequence[str], codes: NDArray[np.integer[Any]]) -> None:
        self.names, self.codes = list(names), np.asarray(codes, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.codes)

    def _text(self, index: int) -> str:
        return self.names[self.codes[index]]
