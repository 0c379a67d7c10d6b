"""A cache of remote files on a local disk, bounded in bytes and shared by all processes of a machine.

A copy is downloaded under a hidden name, which starts with a dot, and renamed when it is complete. Processes lock
(flock) the files of the copies, so a process that dies leaves no lock behind:

- A process that downloads a copy holds an exclusive lock on the hidden file. Other processes that want the same copy
  wait for this lock.
- A process holds a shared lock on a copy while it opens the copy. A locked copy is not evicted. A copy that is only
  memory-mapped may be evicted, since the system keeps its bytes until the last reader closes it.
- Every decision (does the copy exist, is there room, which copy to evict) is made under one lock of the cache's folder,
  which is held for milliseconds.

The name of a copy contains its full size. So the cache counts the full size from the moment the download begins, and
notices a truncated copy.
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

from lagem.storage.atomic import sync

COPY = re.compile(r"\.?copy-(\d+)-.+")  # name of a copy, complete or hidden; other files are never touched
POLL_INTERVAL = 0.05  # seconds between attempts while the cache is full of locked copies


@dataclass(frozen=True, kw_only=True)
class FileCache:
    """A bounded cache of files of an object store; the least recently used copies are evicted.

    Args:
        folder: A folder on a local disk of each machine; the copies are kept in its subfolder lagem-cache. null for a
            folder per user in the system's temporary folder.
        gigabytes: Limit on the total size of the copies, in 10^9 bytes.
    """

    folder: str | None = None
    gigabytes: float = 50.0

    @property
    def path(self) -> Path:
        """The folder that holds the copies."""
        if self.folder:
            return Path(self.folder) / "lagem-cache"
        return Path(tempfile.gettempdir()) / f"lagem-cache-{os.getuid()}"

    @property
    def limit(self) -> int:
        """Limit on the total size of the copies, in bytes."""
        return int(self.gigabytes * 1e9)

    @contextmanager
    def held(self, key: str, size: int, download: Callable[[Path], None]) -> Iterator[Path]:
        """Yield the path of a file's copy, which is not evicted before the `with` block ends.

        If the copy is opened inside the block, it can be read afterwards, too.

        Args:
            key: Identifies the file and its version; equal keys mean equal bytes.
            size: Size of the file in bytes.
            download: Writes the file to the path it is given; its exceptions are passed on.

        Raises:
            ValueError: If the file is larger than the cache, or the cache's folder cannot be used.
        """
        if size > self.limit:
            raise ValueError(
                f"{key} has {size:,} bytes, more than the limit of the cache {self.path} ({self.limit:,}); raise "
                "data.init_args.cache.gigabytes."
            )
        self._check_owner()
        copy = self.path / f"copy-{size}-{key}"
        while (file := _open_locked(copy, size) or self._download(copy, size, download)) is None:
            pass
        with file:
            yield copy

    def _download(self, copy: Path, size: int, download: Callable[[Path], None]) -> IO[bytes] | None:
        """Download a file, and return its locked copy.

        Returns:
            The copy, if this call downloaded it. None if another process has made the copy by now, or if this call only
            waited for another process or for space in the cache; the caller then tries again.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        hidden = copy.with_name(f".{copy.name}.tmp")
        with self._folder_locked():
            if copy.exists():
                if copy.stat().st_size == size:
                    return None
                copy.unlink()  # truncated by a full disk or a power cut
            unfinished = _open(hidden)  # another process is downloading it, or was killed while it did
            in_progress = unfinished is not None and not _lock(unfinished, wait=False)
            room = not in_progress and self._make_room(size, keep=hidden)
            if room and unfinished is None:
                unfinished = hidden.open("wb")
                _lock(unfinished)
        if unfinished is None:
            time.sleep(POLL_INTERVAL)
            return None
        if room:
            try:
                download(hidden)
                sync(hidden)
                with self._folder_locked():
                    os.replace(hidden, copy)
            except BaseException:
                with self._folder_locked():
                    hidden.unlink(missing_ok=True)
                unfinished.close()
                raise
            return unfinished
        with unfinished:
            if in_progress:
                _lock(unfinished, shared=True)
            else:
                time.sleep(POLL_INTERVAL)
        return None

    def _check_owner(self) -> None:
        """Raise ValueError if the cache's folder is in the system's temporary folder and belongs to another user."""
        if self.folder is None and os.path.lexists(self.path) and os.lstat(self.path).st_uid != os.getuid():
            raise ValueError(
                f"{self.path}: belongs to another user; set data.init_args.cache.folder to your own folder."
            )

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        """Lock the cache's folder during the `with` block.

        Files in the folder are created, renamed and removed only under this lock.
        """
        with open(os.open(self.path / ".lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb") as folder:
            _lock(folder)
            yield

    def _make_room(self, size: int, *, keep: Path) -> bool:
        """Evict unlocked files until a new copy of `size` bytes fits.

        Unfinished files of processes that were killed go first, then the least recently used copies.

        Args:
            size: Size of the new copy.
            keep: Path of the hidden file to which the new copy is downloaded. If an earlier process left it unfinished,
                it is not evicted, and it is not counted again, because `size` includes it.

        Returns:
            Whether the new copy fits.
        """
        entries = [entry for entry in os.scandir(self.path) if COPY.fullmatch(entry.name) and entry.name != keep.name]
        total = size + sum(_size(entry.name) for entry in entries)
        # hidden files come first: an unlocked hidden file was left behind by a killed process
        for entry in sorted(entries, key=lambda entry: (not entry.name.startswith("."), entry.stat().st_mtime)):
            if total <= self.limit:
                break
            with open(entry.path, "rb") as file:
                if _lock(file, wait=False):
                    os.unlink(entry.path)
                    total -= _size(entry.name)
        return total <= self.limit


def _open_locked(copy: Path, size: int) -> IO[bytes] | None:
    """Open a copy with a shared lock, and update its time of use.

    Returns:
        The open file; None if there is no complete copy.
    """
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
    """Lock an open file until it is closed.

    Args:
        file: The file.
        shared: Take a shared lock instead of an exclusive one.
        wait: Wait while another process holds the lock.

    Returns:
        Whether the file is now locked; always True with `wait`.
    """
    import fcntl

    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ValueError(
            f"{file.name}: the cache's file system does not support locks ({error}); set "
            "data.init_args.cache.folder to a folder on a local disk."
        ) from None
    return True


def _size(name: str) -> int:
    return int(COPY.sub(r"\1", name))
