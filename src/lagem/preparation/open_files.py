"""Files kept open where they are read: a few of them, in each process its own."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

OPEN_FILES = 64  # kept open in a process; each costs a memory map and its offsets

File = TypeVar("File")


class OpenFiles(Generic[File]):
    """The files opened last. Can be pickled, and used after a fork: the other process opens its own.

    Args:
        open: Opens one.
    """

    def __init__(self, open: Callable[[Path], File]) -> None:
        self._open_file = open
        self._forget()

    def __len__(self) -> int:
        return len(self._open)

    def __call__(self, path: Path) -> File:
        """The file at a path, opened unless it is."""
        if self._process != os.getpid():
            self._forget()
        if path not in self._open:
            self._open[path] = self._open_file(path)
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]

    def _forget(self) -> None:
        self._open: OrderedDict[Path, File] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_process": -1}
