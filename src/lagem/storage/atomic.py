"""Writing of files that exist whole or not at all after a kill and, if they are flushed, after a power cut.

A file is written under a hidden temporary name, flushed to the disk unless the caller says otherwise, and renamed. Then
the folder's list of names is flushed, too. A killed process leaves at most a temporary file or folder, whose name
begins with `.NAME.HEX.tmp`. Readers ignore it. Logs are the exception: they grow line by line.
"""

import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def write_bytes(path: Path, content: bytes | memoryview, *, flush: bool = True) -> None:
    """Write bytes to a file, whole or not at all; its folder must exist.

    Args:
        path: The file.
        content: The bytes.
        flush: Flush the file and its name to the disk. Without this, writing is many times faster, and a kill still
            leaves the file whole or not at all; but after a power cut, a file of the last minute may be missing, empty
            or cut off. So whoever reads it must notice that, and make it again.
    """
    with _renamed(path, ending=".tmp", flush=flush) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str, *, flush: bool = True) -> None:
    """Write a text file in UTF-8; line ends are written as they are in `text`, on every system."""
    write_bytes(path, text.encode(), flush=flush)


def write_json(
    path: Path, value: Any, *, indent: int | None = None, ensure_ascii: bool = False, flush: bool = True
) -> None:
    """Write a value as JSON, followed by a line end.

    Args:
        path: The file.
        value: The value, which consists of plain types.
        indent: Number of spaces per level of nesting; None to write one line.
        ensure_ascii: Escape all characters outside ASCII, so that the file can also hold characters that UTF-8 cannot
            encode, such as those of an undecodable file name.
        flush: As in `write_bytes`.
    """
    write_text(path, json.dumps(value, indent=indent, ensure_ascii=ensure_ascii) + "\n", flush=flush)


def replaced(path: Path) -> AbstractContextManager[Path]:
    """Yield a temporary path at which a library can write a file; the file is renamed to `path` when the block ends.

    The temporary path has the suffix of `path`. If the block raises, the temporary file is removed and `path` is
    unchanged.
    """
    return _renamed(path, ending=f".tmp{path.suffix}")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which is renamed to `folder` when the block ends.

    Missing parents are created. If earlier calls for the same `folder` were killed, their temporary folders are
    removed. If the block raises, the temporary folder is removed.

    Raises:
        OSError: If `folder` exists when the block ends, and is not empty.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, of=folder.name)
    with _renamed(folder, ending=".tmp") as temporary:
        temporary.mkdir()
        yield temporary


def open_log(path: Path) -> BinaryIO:
    """Open a log at its end, to append to it, or to read what another process appends; it is created if missing.

    A log grows while a command runs, so it is never whole: a killed writer may leave an unfinished line.
    """
    return path.open("ab+")


def check_folder(folder: Path) -> None:
    """Raise ValueError if results cannot be written to a folder. The folder need not exist, and is not created."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"{folder}: results cannot be written there, since {there} is not a folder; choose another.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: results cannot be written there, since {there} is not writable; choose another.")


def remove_leftovers(folder: Path, *, of: str | None = None) -> None:
    """Remove the temporary files left in a folder by writers that were killed.

    Call it only while no writer of such files runs.

    Args:
        folder: The folder.
        of: Name of a file or folder: only the temporary files of its writers are removed. None to remove all temporary
            files, and the lock files of the parts of a job.
    """
    temporaries = f".{'*' if of is None else glob.escape(of)}.{'[0-9a-f]' * 16}.tmp*"
    patterns = [temporaries, ".part-*.lock"] if of is None else [temporaries]
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        _remove(path)


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk; no error if the file system cannot flush folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _renamed(path: Path, *, ending: str, flush: bool = True) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{ending}")
    try:
        yield temporary
        for written in [*temporary.rglob("*"), temporary] if flush else []:  # rglob of a file is empty
            sync(written)
        os.replace(temporary, path)
    except BaseException as error:
        _remove(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if flush:
        sync(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
