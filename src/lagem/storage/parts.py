"""Parts of a job, and locks of the folders that a job writes to.

A job can be split into N parts that run in parallel, on any machines; each part takes every N-th item. A folder's lock
makes sure that only one run of a command writes to the folder, or only one run of each part.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """One of the `count` parts of a job, numbered from 0; written as I/N, such as 0/8."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse a text of the form I/N; raises ValueError if it is not a valid part."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"must be I/N with I from 0 to N - 1, such as 0/8, but {text!r} was given.")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def items_of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items that belong to this part; each item belongs to exactly one part."""
        return items[self.number :: self.count]


def status_line(things: str, *, total: int, done: int, refused: int) -> str:
    """Return one line that says how many of a job's items are done, refused and still missing."""
    return f"{total} {things}: {done} done, {refused} refused, {total - done - refused} missing"


@contextmanager
def locked(folder: Path, command: str, part: Part | None = None) -> Iterator[None]:
    """Lock a folder for one run of a command; the lock ends with the block, or with the process if it is killed.

    Args:
        folder: The folder.
        command: Name of the command, for messages.
        part: The part of the job that this run does. Other parts may run at the same time, but a run without parts may
            not. None if the run does the whole job.

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

    # opened for reading too, as NFS requires for a shared lock; following a link would create the file elsewhere
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "a+") as file:
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
                fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: processes forked meanwhile hold the lock too
