"""Times several ways to do one thing, alternating in one process, and shows medians, ratios and their spread."""

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
    """CPU seconds of this process for one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cuda_seconds(work: Callable[[], object]) -> float:
    """GPU seconds for one call."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def clock_of(device: torch.device) -> Clock:
    """CUDA events on a GPU, CPU seconds elsewhere."""
    return cuda_seconds if device.type == "cuda" else cpu_seconds


def interleaved(
    sides: dict[str, Callable[[int], object]], rounds: int, *, warm: bool, clock: Clock = cpu_seconds
) -> Times:
    """Seconds of each side in each round: A B C, A B C, … with the round's number as argument.

    Args:
        sides: Name of each way, and the function to time.
        rounds: How often each side runs.
        warm: Run every round once without timing first, so that files and caches are warm for all sides.
        clock: Measures the seconds of one call.
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
    """Print median times, and medians and quartiles of the ratios to the reference within each round."""
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
    """First quartile, median and third quartile."""
    return [float(value) for value in np.quantile(values, [0.25, 0.5, 0.75])]


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Quartiles of the ratios of two sides within each round."""
    return quartiles(np.array(values) / np.array(base))


def in_words(figures: Sequence[float], digits: int = 2) -> str:
    """`median (first to third quartile)`."""
    low, median, high = (f"{figure:,.{digits}f}" for figure in figures)
    return f"{median} ({low} to {high})"


def write_rows(path: Path, rows: object) -> None:
    """Write rows as JSON, and print the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)
    print(f"written to {path}")


def _spread(values: Sequence[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{low:.3f} to {high:.3f}"
