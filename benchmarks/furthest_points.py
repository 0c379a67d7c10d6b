"""Times furthest point sampling by a loop of torch operations, and by all faster backends that can run here.

    make benchmark NAME=furthest_points
    make benchmark NAME=furthest_points ARGS="--device cuda --batch 64 --points 4096"

The faster backend on a CPU is torch-quickfps; those on a GPU are the Triton kernel, torch-cluster and torch-quickfps.
Backends that are not installed are named and left out. The backends alternate in every round. Times are milliseconds
per batch, by CUDA events on a GPU and by CPU time on a CPU. The table says which backends select the same points as
the loop on the CPU.
"""

import argparse
import importlib.util
from pathlib import Path

import torch
from interleaved import clock_of, in_words, interleaved, quartiles, ratios, write_rows
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lagem.device import named_device
from lagem.models.furthest_points import furthest_point_order

SIDES = {"cpu": ("torch", "quickfps"), "cuda": ("torch", "triton", "torch_cluster", "quickfps")}
PACKAGES = {"triton": "triton", "torch_cluster": "torch_cluster", "quickfps": "torch_quickfps"}


def select(side: str, points: Tensor, count: int) -> Tensor:
    """Return the (B, M) indices of the points that a backend selects."""
    if side == "quickfps" and points.is_cuda:  # `furthest_point_order` uses quickfps only on a CPU
        from torch_quickfps import sample_idx

        starts = points.square().sum(-1).argmax(dim=1).tolist()
        return torch.stack([sample_idx(cloud, count, start_idx=one) for cloud, one in zip(points, starts, strict=True)])
    return furthest_point_order(points, count, backend=side)  # type: ignore[arg-type]


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, metavar="B", help="number of clouds (default: 64)")
    parser.add_argument("--points", type=int, default=4096, metavar="N", help="points per cloud (default: 4096)")
    parser.add_argument("--count", type=int, default=512, metavar="M", help="points to select (default: 512)")
    parser.add_argument("--rounds", type=int, default=20, metavar="K", help="measured rounds (default: 20)")
    parser.add_argument("--device", default="auto", help="torch device (default: a GPU if there is one)")
    parser.add_argument("--quick", action="store_true", help="small clouds and two rounds, to check that it runs")
    parser.add_argument("--output", type=Path, default=Path("runs/furthest_points.json"), help="default: %(default)s")
    args = parser.parse_args()
    if args.quick:
        args.batch, args.points, args.count, args.rounds = 2, 64, 16, 2
    torch.set_num_threads(1)
    device = named_device(args.device)
    points = torch.randn(args.batch, args.points, 3, generator=torch.Generator().manual_seed(0))
    expected = furthest_point_order(points, args.count, backend="torch")
    points, same = points.to(device), {}
    for side in SIDES[device.type]:
        if side in PACKAGES and importlib.util.find_spec(PACKAGES[side]) is None:
            print(f"{side}: not installed")
            continue
        try:
            same[side] = torch.equal(select(side, points, args.count).cpu(), expected)
        except (RuntimeError, ValueError) as error:  # built without CUDA, or too many points
            print(f"{side}: does not run here: {error}")
    works = {side: lambda _, side=side: select(side, points, args.count) for side in same}
    times = interleaved(works, args.rounds, warm=True, clock=clock_of(device))
    sizes = {name: getattr(args, name) for name in ("batch", "points", "count")}
    rows = [
        {"side": side, "device": str(device), **sizes, "seconds": times[side], "same_points": same[side]}
        | {"speedup": ratios(times["torch"], times[side])}
        for side in same
    ]
    title = f"{args.count} of {args.points} points, {args.batch} clouds, {device}"
    table = Table("side", "ms", "torch / side", "the same points", title=title)
    for row in rows:
        milliseconds = [1e3 * value for value in row["seconds"]]
        table.add_row(
            row["side"], in_words(quartiles(milliseconds), 3), in_words(row["speedup"]), str(row["same_points"])
        )
    Console(width=120).print(table)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
