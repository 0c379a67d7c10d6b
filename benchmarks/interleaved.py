"""Time several ways to do one thing, in turn in one process, and show medians, ratios and quartiles."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lagem.storage.atomic import write_json

Times = dict[str, list[float]]
Clock = Callable[[Callable[[], object]], float]


def cpu_seconds(work: Callable[[], object]) -> float:
    """Call a function, and return the CPU seconds that this process spent on the call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cuda_seconds(work: Callable[[], object]) -> float:
    """Call a function, and return the seconds that the GPU spent on its work, measured by CUDA events."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def clock_of(device: torch.device) -> Clock:
    """Return the clock for a device: `cuda_seconds` for a GPU, `cpu_seconds` for any other."""
    return cuda_seconds if device.type == "cuda" else cpu_seconds


def interleaved(
    sides: dict[str, Callable[[int], object]], rounds: int, *, warm: bool, clock: Clock = cpu_seconds
) -> Times:
    """Time the sides A, B, C in the order A B C, A B C, …, and return the seconds of each side in each round.

    Args:
        sides: The function to time for each side, by name; its argument is the number of the round.
        rounds: Number of rounds.
        warm: Whether to run all rounds once before timing, so that files and caches are warm for all sides.
        clock: Function that returns the seconds of one call.
    """
    times: Times = {name: [] for name in sides}
    for number in range(rounds if warm else 0):
        for work in sides.values():
            work(number)
    for number in track(range(rounds), "measuring", transient=True):
        for name, work in sides.items():
            times[name].append(clock(lambda work=work, number=number: work(number)))
    return times


def show_ratios(times: Times, *, reference: str, title: str, unit: str = "CPU ms") -> None:
    """Print the times of each side, and the ratios of the reference's time to the side's time in the same round.

    Args:
        times: Seconds of each side in each round.
        reference: Name of the side that the others are compared with.
        title: Title of the table.
        unit: Unit of the times as the table shows it, such as `CPU ms`.
    """
    table = Table("side", f"median {unit}", "quartiles ms", f"median of {reference} / side", "quartiles", title=title)
    base = np.array(times[reference])
    for name, values in times.items():
        spent = np.array(values)
        table.add_row(
            name,
            f"{1e3 * np.median(spent):.3f}",
            _spread(1e3 * spent),
            f"{np.median(base / spent):.2f}",
            _spread(base / spent),
        )
    Console(width=120).print(table)


def quartiles(values: Sequence[float]) -> list[float]:
    """Return the first quartile, the median and the third quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Divide the value of each round by the base of the same round, and return the quartiles of these ratios."""
    return quartiles(np.array(values) / np.array(base))


def in_words(figures: Sequence[float], digits: int = 2) -> str:
    """Return quartiles as the text `median (first to third quartile)`."""
    low, median, high = (f"{figure:,.{digits}f}" for figure in figures)
    return f"{median} ({low} to {high})"


def write_rows(path: Path, rows: object) -> None:
    """Write rows of results as JSON, and print the path of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)
    print(f"written to {path}")


def _spread(values: Sequence[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{low:.3f} to {high:.3f}"
