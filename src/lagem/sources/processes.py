"""Run a function over many items in child processes; a child that dies or hangs fails its item, not the batch.

`concurrent.futures` breaks the whole pool when one process dies, and does not know which item killed it. Here the
parent knows the item of each child: it reports that item with the signal and starts another child.
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
    """As much time and memory as the machine has."""
    return Limits()


def run_in_processes(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    limits: Callable[[Item], Limits] = no_limits,
) -> Generator[tuple[Item, Result | Failure], None, None]:
    """Yield (item, function(item)) in the order of completion; (item, Failure) if it exceeded its limits or died.

    Args:
        function: A function at module level, since the children import it; an exception from it ends the batch.
        items: Arguments of the function, one for each call.
        workers: Number of child processes, each with single-threaded numerics.
        limits: Returns what an item may take.
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
