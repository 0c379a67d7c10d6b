"""A folder held for one run of a command at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lagem.storage.parts import Part


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
