"""Columns of text for large data sets, stored in a few blocks of memory.

A list of 600,000 strings consists of 600,000 objects. Reading a Python object changes its reference count, so when a
forked loader process reads the list, the system copies the shared pages one by one, and memory grows over an epoch. An
array of numbers or one long text is a single object, whose content stays shared.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


class _TextSequence(Sequence[str]):
    """Base class of `Texts` and `Labels`, which are equal if their texts are equal. A slice is a list of texts."""

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
    """A column of texts that differ, such as ids, stored as one long text and the position at which each text ends."""

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
    """A column of texts that repeat, such as categories.

    names: the distinct texts, in the order of first use.
    codes: (n,) int32, for each entry, the index of its text in `names`.
    """

    def __init__(self, names: Sequence[str], codes: NDArray[np.integer[Any]]) -> None:
        self.names, self.codes = list(names), np.asarray(codes, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.codes)

    def _text(self, index: int) -> str:
        return self.names[self.codes[index]]
