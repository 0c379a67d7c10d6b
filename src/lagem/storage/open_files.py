"""A small per-process cache of open files."""

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

File = TypeVar("File")


class OpenFiles(Generic[File]):
    """Opens files when they are asked for, and keeps the most recently used ones open.

    It can be pickled and used after a fork, since each process opens the files itself.

    Args:
        open: Opens a file, given its path or name.
        most: Largest number of files that are kept open.
    """

    def __init__(self, open: Callable[[str], File], *, most: int) -> None:
        self._open_file, self._most = open, most
        self._forget()

    def __len__(self) -> int:
        return len(self._open)

    def __call__(self, path: str) -> File:
        """Return the open file of a path, opening it if necessary."""
        if self._process != os.getpid():
            self._forget()
        if path not in self._open:
            self._open[path] = self._open_file(path)
            if len(self._open) > self._most:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]

    def _forget(self) -> None:
        self._open: OrderedDict[str, File] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_process": -1}
