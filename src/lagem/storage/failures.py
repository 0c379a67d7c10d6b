"""Failures of the machine, such as a full disk, which are reported in one line and not blamed on the file in use."""

import errno
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

FULL, FORBIDDEN = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS)
TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
BROKEN = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO)
WHAT_TO_DO = {
    **dict.fromkeys(FULL, "free some space there, then run the same command again"),
    **dict.fromkeys(FORBIDDEN, "change its permissions, or give another path"),
    **dict.fromkeys(TOO_MANY_FILES, "raise the limit on open files (`ulimit -n`), then run the same command again"),
    **dict.fromkeys(BROKEN, "the disk or the network failed; once it works, run the same command again"),
}


@contextmanager
def failures_named(path: Path, *, only: Container[int] | None = None) -> Iterator[None]:
    """If the `with` block raises an OSError that names no file, as on a full disk, add a path to the error.

    Args:
        path: The file or folder to name.
        only: The error numbers (errno) to which this applies; None for all.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None or (only is not None and error.errno not in only):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def failure_line(error: OSError) -> str:
    """Return a line that names the file, and says what went wrong and what to do."""
    if error.errno is None:
        return " ".join(str(error).split())
    line = f"{error.strerror}; {WHAT_TO_DO[error.errno]}." if error.errno in WHAT_TO_DO else str(error.strerror)
    return line if error.filename is None else f"{error.filename}: {line}"


def raise_failure_behind(error: Exception, path: str | Path) -> None:
    """If a failure of the machine caused an error, raise that failure.

    Code that skips unusable files calls this first. Otherwise, a broken disk would make good files look unusable.

    Args:
        error: The error.
        path: The file in use; the failure gets this path if it names no file.
    """
    behind = error if isinstance(error, OSError) else error.__cause__
    if isinstance(behind, OSError) and behind.errno in (*FULL, *TOO_MANY_FILES, *BROKEN):
        with failures_named(Path(path)):
            raise behind
