"""Copies of remote files on a local disk: a bounded number of bytes, shared by all processes of a machine.

A copy is written under a hidden name and renamed when it is whole. Locks (flock) are held on the copies themselves,
so a process that dies leaves none behind:

- who downloads holds its hidden file alone; who wants the same file waits for that lock instead of downloading;
- who opens a copy holds it together with others; what is held is not evicted. A copy that is mapped already may be
  evicted: the system keeps its bytes until the last reader is done;
- every decision (is it there, is there room, who goes) is made under one lock of the folder, held for milliseconds.

The size stands in the name, so bytes count from the moment on at which a download is decided, and a damaged copy is
noticed.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

COPY = re.compile(r"\.?copy-(\d+)-.+")  # whole, or hidden until it is; what is called otherwise is not ours
ASK_AGAIN = 0.05  # seconds; only where every copy is held and the folder is full


@dataclass(frozen=True, kw_only=True)
class FileCache:
    """A bounded cache of files of a store; the copies that were used last stay.

    Args:
        folder: Its subfolder lagem-cache takes the copies, on a disk of each machine; null for a folder of the user
            among the temporary files.
        gigabytes: Most bytes of copies, in units of 10^9.
    """

    folder: str | None = None
    gigabytes: float = 50.0

    @property
    def path(self) -> Path:
        """Where copies lie."""
        if self.folder:
            return Path(self.folder) / "lagem-cache"
        return Path(tempfile.gettempdir()) / f"lagem-cache-{os.getuid()}"

    @property
    def limit(self) -> int:
        """Most bytes of copies."""
        return int(self.gigabytes * 1e9)

    @contextmanager
    def held(self, key: str, size: int, download: Callable[[Path], None]) -> Iterator[Path]:
        """The copy of a file, which stays where it is inside the `with`; what was opened there can be read after it.

        Args:
            key: Name of one version of the file; the same key, the same bytes.
            size: Bytes of the file.
            download: Writes the file to a path; what it raises goes through.
        """
        if size > self.limit:
            raise ValueError(
                f"{key} has {size:,} bytes, more than the cache {self.path} may hold ({self.limit:,}); raise "
                "data.init_args.cache.gigabytes."
            )
        copy = self.path / f"copy-{size}-{key}"
        while (file := _opened(copy, size) or self._brought(copy, size, download)) is None:
            pass
        with file:
            yield copy

    def _brought(self, copy: Path, size: int, download: Callable[[Path], None]) -> IO[bytes] | None:
        """Download a file and hold it; None where that was not to be done, after a wait for who does it or for room."""
        self.path.mkdir(parents=True, exist_ok=True)
        hidden = copy.with_name(f".{copy.name}.tmp")
        with self._decided():
            if copy.exists():
                if copy.stat().st_size == size:
                    return None
                copy.unlink()  # cut short, by a full disk or a power cut
            unfinished = _open(hidden)  # of another process, or what a killed one left
            begun = unfinished is not None and not _lock(unfinished, wait=False)
            room = not begun and self._make_room(size, besides=hidden)
            if room and unfinished is None:
                unfinished = hidden.open("wb")
                _lock(unfinished)
        if unfinished is None:
            time.sleep(ASK_AGAIN)
            return None
        if room:
            try:
                download(hidden)
                with self._decided():
                    os.replace(hidden, copy)
            except BaseException:
                with self._decided():
                    hidden.unlink(missing_ok=True)
                unfinished.close()
                raise
            return unfinished
        with unfinished:
            if begun:
                _lock(unfinished, shared=True)
            else:
                time.sleep(ASK_AGAIN)
        return None

    @contextmanager
    def _decided(self) -> Iterator[None]:
        """Hold the folder: only inside this do its files get and lose their names."""
        with (self.path / ".lock").open("wb") as folder:
            _lock(folder)
            yield

    def _make_room(self, size: int, *, besides: Path) -> bool:
        """Evict what is not held, the longest unused first, until a file fits in; whether it does."""
        entries = [
            entry for entry in os.scandir(self.path) if COPY.fullmatch(entry.name) and entry.name != besides.name
        ]
        total = size + sum(_size(entry.name) for entry in entries)
        # a hidden file that nobody holds is what a killed process left
        for entry in sorted(entries, key=lambda entry: (not entry.name.startswith("."), entry.stat().st_mtime)):
            if total <= self.limit:
                break
            with open(entry.path, "rb") as file:
                if _lock(file, wait=False):
                    os.unlink(entry.path)
                    total -= _size(entry.name)
        return total <= self.limit


def _opened(copy: Path, size: int) -> IO[bytes] | None:
    """A whole copy, opened and held, with the time of its use noted; None where there is none."""
    if (file := _open(copy)) is None:
        return None
    _lock(file, shared=True)
    found = os.fstat(file.fileno())
    if found.st_nlink == 0 or found.st_size != size:
        file.close()
        return None
    os.utime(copy)
    return file


def _open(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _lock(file: IO[bytes] | IO[str], *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file until it is closed; without `wait`, say whether that could be done at once."""
    import fcntl

    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ValueError(
            f"{file.name}: the cache's file system has no locks ({error}); name a folder on a local disk by "
            "data.init_args.cache.folder."
        ) from None
    return True


def _size(name: str) -> int:
    return int(COPY.sub(r"\1", name))
