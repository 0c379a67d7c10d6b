"""Furthest point sampling on a GPU: a loop of torch operations, the Triton kernel, and torch-cluster where installed.

    make benchmark NAME=furthest_points

Milliseconds by CUDA events for a batch, all sides in turn in each round; medians and quartiles, and whether each side
selects the same points as the loop on the CPU.
"""

import argparse
import importlib.util
from typing import get_args

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lagem.models.sampling import FPSBackend, furthest_point_order


def milliseconds(points: torch.Tensor, count: int, backend: FPSBackend) -> float:
    """Milliseconds of one selection."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    furthest_point_order(points, count, backend=backend)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, metavar="B", help="clouds (default: 64)")
    parser.add_argument("--points", type=int, default=4096, metavar="N", help="points of a cloud (default: 4096)")
    parser.add_argument("--count", type=int, default=512, metavar="M", help="points to select (default: 512)")
    parser.add_argument("--rounds", type=int, default=20, metavar="K", help="rounds that count (default: 20)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this measures a GPU, but torch finds none.")
    points = torch.randn(args.batch, args.points, 3, generator=torch.Generator().manual_seed(0))
    expected = furthest_point_order(points, args.count, backend="torch")
    sides = [
        name for name in get_args(FPSBackend) if name == "torch" or (name != "auto" and importlib.util.find_spec(name))
    ]
    points = points.cuda()
    same = {name: torch.equal(furthest_point_order(points, args.count, backend=name).cpu(), expected) for name in sides}
    rounds = [{name: milliseconds(points, args.count, name) for name in sides} for _ in range(args.rounds)]
    table = Table("side", "median ms", "quartiles ms", "median of torch / side", "quartiles", "same points")
    loop = np.array([times["torch"] for times in rounds])
    for name in sides:
        spent = np.array([times[name] for times in rounds])
        table.add_row(
            name,
            f"{np.median(spent):.2f}",
            " to ".join(f"{value:.2f}" for value in np.quantile(spent, [0.25, 0.75])),
            f"{np.median(loop / spent):.1f}",
            " to ".join(f"{value:.1f}" for value in np.quantile(loop / spent, [0.25, 0.75])),
            "yes" if same[name] else "no",
        )
    Console(width=120).print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {args}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
