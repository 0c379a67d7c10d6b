"""Locks of folders: one run of a command at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lagem.storage.parts import Part


@contextmanager
def locked(folder: Path, command: str, part: Part | None = None) -> Iterator[None]:
    """Lock a folder for one run of a command; the lock ends with the process, even if it is killed.

    Args:
        folder: The folder.
        command: Its name in messages.
        part: Lock only this part of the work: other parts may run at the same time, but a run without parts may not.

    Raises:
        ValueError: If another run holds the lock.
    """
    with ExitStack() as held:
        if part is not None:
            held.enter_context(_lock(folder / f".part-{part.number}-{part.count}.lock", f"{command} --part {part}"))
        held.enter_context(_lock(folder / ".lock", command, shared=part is not None))
        yield


@contextmanager
def _lock(path: Path, command: str, *, shared: bool = False) -> Iterator[None]:
    import fcntl

    with path.open("a+") as file:  # NFS requires read access for a shared lock
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path.parent}: another `{command}` is writing here; wait for it to end.") from None
        except OSError:
            pass  # some cluster file systems have no locks
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # after closing alone, processes forked meanwhile would keep the lock
