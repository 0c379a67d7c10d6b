"""Furthest point sampling on a GPU: a loop of torch operations, the Triton kernel, and torch-cluster if installed.

    make benchmark NAME=furthest_points

Prints milliseconds per batch, measured by CUDA events with all sides alternating in each round, and which sides select
the same points as the loop on the CPU.
"""

import argparse
import importlib.util

import torch
from interleaved import cuda_seconds, interleaved, show_ratios

from lagem.models.furthest_points import FPSBackend, furthest_point_order


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, metavar="B", help="clouds (default: 64)")
    parser.add_argument("--points", type=int, default=4096, metavar="N", help="points per cloud (default: 4096)")
    parser.add_argument("--count", type=int, default=512, metavar="M", help="points to select (default: 512)")
    parser.add_argument("--rounds", type=int, default=20, metavar="K", help="measured rounds (default: 20)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this measures a GPU, but torch finds none. Run it on a machine with a CUDA device.")
    points = torch.randn(args.batch, args.points, 3, generator=torch.Generator().manual_seed(0))
    expected = furthest_point_order(points, args.count, backend="torch")
    points = points.cuda()

    def select(backend: FPSBackend) -> torch.Tensor:
        return furthest_point_order(points, args.count, backend=backend)

    optional: tuple[FPSBackend, ...] = ("triton", "torch_cluster")
    backends: list[FPSBackend] = ["torch", *(name for name in optional if importlib.util.find_spec(name))]
    same = [name for name in backends if torch.equal(select(name).cpu(), expected)]
    sides = {name: lambda _, name=name: select(name) for name in backends}
    times = interleaved(sides, args.rounds, warm=True, clock=cuda_seconds)
    title = f"{args.count} of {args.points} points, {args.batch} clouds, {torch.cuda.get_device_name()}"
    show_ratios(times, reference="torch", title=title, unit="GPU ms")
    print(f"the same points as on the CPU: {', '.join(same)}")


if __name__ == "__main__":
    main()
