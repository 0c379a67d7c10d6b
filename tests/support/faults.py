"""Faults at the n-th access to a file: a kill, a full disk, an unreadable store; and a clock that jumps.

An access is a write to a file opened by `Path.open`, a flush, a rename, or a read. A read is counted when the file is
opened. A command makes its accesses in a fixed order, so with the same arguments n always names the same access.
"""

import errno
import io
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NO_EXIT = 70  # exit code of a child that raised
WRITES, KEEPS, READS = ("write",), ("write", "flush", "rename"), ("read",)


class Accesses:
    """Counts file accesses of some kinds, and calls `fault` instead of finishing the n-th.

    Args:
        kinds: The kinds to count, from "write", "flush", "rename" and "read".
        at: n, counted from 1; if it is None, `fault` is never called.
        fault: Kills this process or raises an error.
    """

    def __init__(self, kinds: tuple[str, ...], at: int | None = None, fault: Callable[[], None] = lambda: None) -> None:
        self.kinds, self.at, self.fault, self.count = kinds, at, fault, 0

    def is_due(self, kind: str) -> bool:
        """Count one access, and return whether it is the n-th."""
        self.count += kind in self.kinds
        return kind in self.kinds and self.count == self.at


class _Written:
    """An open file; if a write to it is the n-th access, the write stops half way."""

    def __init__(self, file: io.IOBase, accesses: Accesses) -> None:
        self._file, self._accesses = file, accesses

    def write(self, content: Any) -> int:
        if self._accesses.is_due("write"):
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            self._accesses.fault()
        return self._file.write(content)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def counted(accesses: Accesses) -> Iterator[Accesses]:
    """Count the accesses inside the `with`, and let the n-th fail."""
    plain_open, plain_fsync, plain_replace = Path.open, os.fsync, os.replace

    def opened(path: Path, mode: str = "r", *more: Any, **settings: Any) -> Any:
        if "r" in mode and accesses.is_due("read"):
            accesses.fault()
        file = plain_open(path, mode, *more, **settings)
        return file if "r" in mode else _Written(file, accesses)

    def fsync(descriptor: int) -> None:
        if accesses.is_due("flush"):
            accesses.fault()
        plain_fsync(descriptor)

    def replace(source: Any, target: Any) -> None:
        if accesses.is_due("rename"):
            accesses.fault()
        plain_replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", replace)
        yield accesses


def kill() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk() -> None:
    """Raise the error of a write to a full disk; the error names no file."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_store() -> None:
    """Raise the error of a read from a broken disk; the error names no file."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def interrupt() -> None:
    """Raise the KeyboardInterrupt of Ctrl-C."""
    raise KeyboardInterrupt


def in_child(work: Callable[[], object], errors: Path) -> tuple[int, str]:
    """Run `work` in a forked process.

    Returns:
        The exit code of the process, or minus the number of the signal that ended it; and its standard error output.
    """
    if (child := os.fork()) == 0:
        code = NO_EXIT
        try:
            with errors.open("w") as sys.stderr:
                try:
                    work()
                    code = 0
                except SystemExit as stop:
                    code = stop.code if isinstance(stop.code, int) else NO_EXIT
                except BaseException:
                    traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read_text()


@contextmanager
def jumping_clock(seed: int) -> Iterator[None]:
    """Make each call of `time.time` jump back or forth by up to ten years; elapsed time is not affected."""
    chance = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        plain = time.time
        patch.setattr(time, "time", lambda: plain() + chance.uniform(-3e8, 3e8))
        yield
