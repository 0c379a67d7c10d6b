"""Runs a function over many items in child processes. If a child dies or hangs, only its current item fails.

In `concurrent.futures`, the whole pool breaks if a process dies, and it is unknown which item killed the process. Here,
the parent knows the item of each child. If a child dies, the parent reports the child's item and the signal, and starts
another child.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from lagem.signals import stop_postponed
from lagem.sources.child import Child, Failure, Limits, TookTooLong

Item = TypeVar("Item")
Result = TypeVar("Result")


def no_limits(item: object) -> Limits:
    """Return limits that restrict neither time nor memory."""
    return Limits()


def run_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    limits: Callable[[Item], Limits] = no_limits,
) -> Generator[tuple[Item, Result | Failure], None, None]:
    """Yield each item with its result, in the order of completion.

    An item has a Failure in place of its result if it exceeded its limits, or if its child died.

    Args:
        function: A function at module level, because the children import it. If it raises an exception, the iteration
            ends with that exception.
        items: The items; each is the argument of one call.
        workers: Number of child processes, each with single-threaded numerics.
        limits: Returns the limits of time and memory for an item.
    """
    waiting = iter(items)
    busy: dict[Connection, Child] = {}
    idle: list[Child] = []
    try:
        while True:
            while len(busy) < workers and (item := next(waiting, None)) is not None:
                with stop_postponed():
                    child = idle.pop() if idle else Child(function)
                    child.give(item, limits(item))
                    busy[child.connection] = child
            if not busy:
                return
            left = min(child.deadline for child in busy.values()) - time.monotonic()
            ready = wait(list(busy), timeout=None if left == math.inf else max(left, 0))
            now = time.monotonic()
            overdue = [connection for connection, child in busy.items() if now > child.deadline]
            for connection in {*ready, *overdue}:
                child = busy[connection]  # type: ignore[index]
                late = connection not in ready
                kind, content = ("late", TookTooLong(child.limits.seconds)) if late else child.take()
                if kind == "started":
                    continue
                with stop_postponed():
                    del busy[child.connection]
                    if kind == "result":
                        idle.append(child)
                    else:
                        child.stop()
                yield child.item, content
    finally:
        for child in [*busy.values(), *idle]:
            child.stop()
