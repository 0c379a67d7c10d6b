"""Run a function over many items in child processes; a child that dies or hangs fails its item, not the batch.

`concurrent.futures` breaks the whole pool when one process dies, and does not know which item killed it. Here the
parent knows the item of each child: it reports that item with the signal and starts another child.
"""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from lagem.signals import SENT_TO_ALL, end_with_parent, stop_postponed

Item = TypeVar("Item")
Result = TypeVar("Result")

KILL_OF_ALL = 1.0  # seconds within which kill -9 of a job reaches all its processes
SINGLE_THREADED = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "IGL_NUM_THREADS")
}


class Failure:
    """Why an item has no result; str() gives the reason."""


@dataclass(frozen=True)
class TookTooLong(Failure):
    """The child was stopped at the time limit."""

    seconds: float

    def __str__(self) -> str:
        return (
            f"took longer than {self.seconds:g} s; simplify the mesh, or use --retry-refused with a larger --time-limit"
        )


@dataclass(frozen=True)
class Died(Failure):
    """The child died."""

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
    """One worker process and its current item."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, function), daemon=True)
        with environment(SINGLE_THREADED):
            self.process.start()
        theirs.close()
        self.started = False
        self.item: Any = None
        self.since = 0.0

    def give(self, item: Any) -> None:
        self.item = item
        self.since = time.monotonic() if self.started else math.inf
        with suppress(OSError):  # the child died before it received the item; `take` notices
            self.connection.send(item)

    def take(self) -> tuple[str, Any]:
        """The next message: first "started", then ("result", …) per item; re-raises what the function raised."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            died = Died(self.process.exitcode or 0)
            if died.exit_code == -signal.SIGKILL:
                time.sleep(KILL_OF_ALL)  # if this process is killed as well, the item is not to blame
            if not self.started:
                raise RuntimeError(f"{died} while starting, before any item; its message is above.") from None
            return "died", died
        if kind == "error":
            raise content
        if kind == "started":
            self.started, self.since = True, time.monotonic()  # starting the process does not count as time of the item
        return kind, content

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def run_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, time_limit: float = math.inf
) -> Generator[tuple[Item, Result | Failure], None, None]:
    """Yield (item, function(item)) in the order of completion; (item, Failure) if its process died or took too long.

    Args:
        function: A function at module level, since spawned children import it; an exception from it ends the batch.
        items: Arguments of the function, one for each call.
        workers: Number of child processes, each with single-threaded numerics.
        time_limit: Seconds allowed per item.
    """
    waiting = iter(items)
    busy: dict[Connection, Child] = {}
    idle: list[Child] = []
    try:
        while True:
            while len(busy) < workers and (item := next(waiting, None)) is not None:
                with stop_postponed():
                    child = idle.pop() if idle else Child(function)
                    child.give(item)
                    busy[child.connection] = child
            if not busy:
                return
            left = min(child.since for child in busy.values()) + time_limit - time.monotonic()
            ready = wait(list(busy), timeout=None if left == math.inf else max(left, 0))
            now = time.monotonic()
            overdue = [connection for connection, child in busy.items() if now - child.since > time_limit]
            for connection in {*ready, *overdue}:
                child = busy[connection]  # type: ignore[index]
                kind, content = child.take() if connection in ready else ("late", TookTooLong(time_limit))
                if kind == "started":
                    continue
                with stop_postponed():
                    del busy[child.connection]
                    if kind in ("died", "late"):
                        child.stop()
                    else:
                        idle.append(child)
                yield child.item, content
    finally:
        for child in [*busy.values(), *idle]:
            child.stop()


def serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The loop of a child: receive items and send results until the parent is gone."""
    end_with_parent()
    for number in SENT_TO_ALL:  # only the parent may end a child, else the item would be blamed
        signal.signal(number, signal.SIG_IGN)
    try:
        connection.send(("started", None))
        while True:
            item = connection.recv()
            try:
                message: tuple[str, Any] = ("result", function(item))
            except Exception as raised:
                message = ("error", raised)
            connection.send(message)
    except (EOFError, OSError):
        return  # the parent is gone


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes started inside the `with`."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
