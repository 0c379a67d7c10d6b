"""Files that are there whole or not at all, also after a kill or a power cut."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lagem.preparation.parts import Part


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a hidden name of its own, flush it to the disk, then give it its name."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    with hidden.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(hidden, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed `write_atomically` left in a folder, and the locks of parts."""
    for path in [*folder.glob(".*.tmp"), *folder.glob(".part-*.lock")]:
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, command: str, part: Part | None = None) -> Iterator[None]:
    """Hold a folder for one run of a command at a time; the lock ends with the process, however it ends.

    Args:
        folder: To hold.
        command: For the message.
        part: Hold one part of the work only; other parts go on beside it, a run of the whole does not.
    """
    with ExitStack() as held:
        if part is not None:
            held.enter_context(_lock(folder / f".part-{part.number}-{part.count}.lock", f"{command} --part {part}"))
        held.enter_context(_lock(folder / ".lock", command, shared=part is not None))
        yield


@contextmanager
def _lock(path: Path, command: str, *, shared: bool = False) -> Iterator[None]:
    import fcntl

    with path.open("a+") as file:  # NFS wants to read what it shares
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path.parent}: another `{command}` is writing here; wait for it to end.") from None
        except OSError:
            pass  # a file system without locks, as some cluster mounts are
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # closing alone leaves it with processes forked meanwhile
