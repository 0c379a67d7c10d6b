"""A child process that applies a function to one item after another, within limits of time and memory.

A child is a new interpreter that imports the module of the function, but not the program that started it. So a script
needs no `if __name__ == "__main__"`, and a child that reads meshes starts without torch.
"""

import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from lagem.signals import SENT_TO_ALL, end_with_parent

PROGRAM = "import sys; sys.path[:] = {path!r}; from lagem.sources.child import serve; serve({handle}, {parent})"
KILL_OF_ALL = 1.0  # seconds within which a kill -9 of a job reaches all processes of the job
SINGLE_THREADED = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "IGL_NUM_THREADS")
}


@dataclass(frozen=True)
class Limits:
    """The time and memory that one item may take.

    seconds: Time in seconds, after which the child is stopped.
    memory: Memory in bytes, in addition to the memory that the child had before the item.
    """

    seconds: float = math.inf
    memory: float = math.inf

    def __str__(self) -> str:
        return f"{self.seconds:.4g} s and {self.memory / 2**30:.1f} GiB"


class Failure:
    """The reason why an item has no result; str() returns it in words."""


@dataclass(frozen=True)
class TookTooLong(Failure):
    """The child was stopped at the time limit."""

    seconds: float

    def __str__(self) -> str:
        return f"took longer than {self.seconds:.4g} s"


@dataclass(frozen=True)
class NeededTooMuchMemory(Failure):
    """The child reached its memory limit, or used up the memory of the machine."""

    limit: float

    def __str__(self) -> str:
        return f"needed more than {self.limit / 2**30:.1f} GiB of memory"


@dataclass(frozen=True)
class Died(Failure):
    """The child died while it worked on the item."""

    exit_code: int

    def __str__(self) -> str:
        if self.exit_code >= 0:
            return f"the worker process died (exit code {self.exit_code})"
        try:
            name = signal.Signals(-self.exit_code).name
        except ValueError:
            name = str(-self.exit_code)
        return f"the worker process died (signal {name})"


class Child:
    """One worker process and its current item.

    Args:
        function: A function at module level, or a partial of one, because the child imports it.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.connection, theirs = Pipe()
        handle = theirs.fileno()
        program = PROGRAM.format(path=sys.path, handle=handle, parent=os.getpid())
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=[handle],
            stdin=subprocess.DEVNULL,
            env=os.environ | SINGLE_THREADED,
        )
        theirs.close()
        self._send(function)
        self.started = False
        self.item: Any = None
        self.limits = Limits()
        self.since = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def deadline(self) -> float:
        """The value of time.monotonic() at which the current item must be done; the child's start-up does not count."""
        return self.since + self.limits.seconds

    def give(self, item: Any, limits: Limits) -> None:
        """Send an item to the child; `take` or `answer` returns the result."""
        self.item, self.limits = item, limits
        self.since = time.monotonic() if self.started else math.inf
        self._send((item, limits.memory))

    def take(self) -> tuple[str, Any]:
        """Wait for the child's next message; if the function raised an exception, raise it here.

        Returns:
            The kind of the message and its content. The first message of a child is "started". The message
            about an item is "result" with the result, or "memory" or "died" with a Failure.
        """
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            died = Died(self.process.wait())
            if died.exit_code == -signal.SIGKILL:
                time.sleep(KILL_OF_ALL)  # if a kill of the whole job ends this process too, the item is not blamed
            if not self.started:
                raise RuntimeError(
                    f"{died} while starting, before it had any item; its error message is above."
                ) from None
            return "died", died
        if kind == "error":
            raise content
        if kind == "started":
            self.started, self.since = True, time.monotonic()
        if kind == "memory":
            return kind, NeededTooMuchMemory(self.limits.memory)
        return kind, content

    def answer(self) -> Any:
        """Wait for the current item, and return its result or its Failure; raises the function's exceptions."""
        while True:
            left = self.deadline - time.monotonic()
            if not wait([self.connection], None if left == math.inf else max(left, 0)):
                return TookTooLong(self.limits.seconds)
            kind, content = self.take()
            if kind != "started":
                return content

    def stop(self) -> None:
        """Kill the process."""
        self.connection.close()
        self.process.kill()
        self.process.wait()

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # the child died before it received the message; `take` notices
            self.connection.send(message)


def serve(handle: int, parent: int) -> None:
    """Run the loop of a child: receive a function, then receive items and send results until the parent has ended."""
    end_with_parent(parent)
    for number in SENT_TO_ALL:  # only the parent may end a child; otherwise, the item would be blamed
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(handle)
    with suppress(EOFError, OSError):  # the parent is gone
        function = connection.recv()
        connection.send(("started", None))
        while True:
            item, memory = connection.recv()
            try:
                with memory_limited(memory):
                    message: tuple[str, Any] = ("result", function(item))
            except MemoryError:
                message = ("memory", None)
            except Exception as raised:
                message = ("error", raised)
            connection.send(message)


@contextmanager
def memory_limited(memory: float) -> Iterator[None]:
    """Raise MemoryError if this process allocates more than `memory` bytes inside the `with` block.

    Does nothing on systems other than Linux, because they do not limit the address space of a process.
    """
    if math.isinf(memory) or sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + int(memory)
    known = [other for other in before if other != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([limit, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
