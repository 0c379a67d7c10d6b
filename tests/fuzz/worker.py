"""A process that makes tries within limits of time and memory; its parent replaces it if it dies or hangs."""

import faulthandler
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from guard import Guard
from tries import Format, Outcome, Try, attempt

MEMORY = 2**31  # bytes of address space that a try may take
FILE_SIZE = 2**28  # bytes of a file that a try may write
SECONDS = 20.0

Maker = Callable[[int], Try]


class Worker:
    """A forked process that makes tries, in each of which a function reads damaged files.

    If the process dies, hangs or runs out of memory, a new process replaces it. Each process has everything that the
    parent has imported and made before the fork.

    Args:
        make: Returns the try with a given number.
        scratch: Folder for the tries.
        formats: For each of these formats, undamaged files are made before the first fork, so every process has them.
    """

    def __init__(self, make: Maker, scratch: Path, formats: Iterable[Format] = ()) -> None:
        for format in formats:
            format.sound(np.random.default_rng(0))
        self._make, self._scratch = make, scratch
        self._stacks = scratch / "stacks"
        self._start()

    def run(self, number: int) -> Outcome:
        """Make a try and return its outcome; a process that dies, hangs or runs out of memory is replaced."""
        self._connection.send(number)
        try:
            found: Outcome = self._connection.recv()
        except EOFError:
            self._process.join()
            stacks = self._stacks.read_text(errors="replace")
            kind = "hang" if stacks.startswith("Timeout") else "crash"
            found = Outcome(kind, f"the process died, exit code {self._process.exitcode}\n{stacks}")
        if found.kind in ("crash", "hang", "memory"):  # what a try leaves in memory would stop the next ones
            self.stop()
            self._start()
        return found

    def stop(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        faulthandler.cancel_dump_traceback_later()  # pytest has set one; the forked process would wait for its thread
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self._connection, self._make, self._scratch, self._stacks)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()


def serve(connection: Connection, theirs: Connection, make: Maker, scratch: Path, stacks: Path) -> None:
    """In the forked process, make the tries that the parent asks for, until the parent is gone."""
    theirs.close()  # else this process would not notice the end of its parent
    sys.dont_write_bytecode = True
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # hides what libraries print without Python's sys.stderr
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE,) * 2)
    guard = Guard()
    with stacks.open("w") as file:
        faulthandler.enable(file)
        while True:
            try:
                number = connection.recv()
            except (EOFError, OSError):
                os._exit(0)
            file.seek(0)
            file.truncate()
            one = make(number)
            _ = one.files  # made before the time limit, which is for their readers, and before the guard is set
            faulthandler.dump_traceback_later(SECONDS, file=file, exit=True)
            outcome = confined(guard, one, scratch)
            faulthandler.cancel_dump_traceback_later()
            connection.send(outcome)


def confined(guard: Guard, one: Try, scratch: Path) -> Outcome:
    """Make a try in a new folder below `scratch`, and return its outcome: a finding if the guard refused anything."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        guard.confine(str(folder))
        outcome = attempt(one, folder)
        forbidden = guard.found
    finally:
        guard.confine(None)
        shutil.rmtree(folder)
    if forbidden:
        return Outcome("outside", f"{one.door}: {'; '.join(forbidden)}\n{outcome.text}")
    return outcome
