"""Measures the cost of two ways to answer queries to a decoded shape: layer by layer (plain), or by folded weights.

    make benchmark NAME=decoding
    make benchmark NAME=decoding ARGS="MANIFEST.csv --split val --networks autoencoder large"
    make benchmark NAME=decoding ARGS="--device cuda --queries 1000000"

`lagem.models.queries.field` explains the folding. The queries are uniform in [-1, 1]^3. On the first shape, the plain
and the folded computation alternate in one process. The first query to a folded shape, which folds its weights, is
timed separately. Times are medians and quartiles of CPU seconds of this process on a CPU, and of CUDA events on a GPU.
Differences of logits are in standard deviations of the plain logits; the table shows the largest over all shapes.
`limit` is a lower bound of the folded time, divided by the measured folded time. The bound counts only the matrix
products for the attention scores, and assumes that they run as fast as a product of two large matrices. The product of
two large matrices is timed too, in turn with the plain and the folded computation.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from interleaved import clock_of, in_words, interleaved, quartiles, ratios, write_rows
from rich.console import Console
from rich.table import Table
from shapes import add_shape_arguments, surfaces

from lagem.device import named_device
from lagem.levels import LevelSpec
from lagem.models.attention import HEAD_WIDTH
from lagem.models.autoencoder import Autoencoder
from lagem.pretrained import AUTOENCODERS, pretrained_autoencoder
from lagem.weights.autoencoder import load_autoencoder

PAPER = "paper's size"  # the network of experiments/autoencoder/shapenet.yaml, with random weights


def network_of(name: str) -> tuple[Autoencoder, int]:
    """Return the named network, and the number of surface points that it encodes."""
    if name in AUTOENCODERS:
        network, spec = load_autoencoder(pretrained_autoencoder(name))
        return network, spec.num_surface_points
    torch.manual_seed(0)
    levels = [LevelSpec(512, 8, depth=8), LevelSpec(128, 16, depth=8), LevelSpec(32, 32, depth=8)]
    return Autoencoder(levels=levels, width=512).eval(), 2048


@torch.no_grad()
def measure_queries(name: str, args: argparse.Namespace, device: torch.device) -> dict[str, object]:
    """Return one row of results for a network.

    The row has the times on the first shape. For all shapes, it compares the plain logits with the folded logits.
    """
    network, num_points = network_of(name)
    network.to(device)
    asked = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, args.queries, 3)).astype(np.float32)).to(
        device
    )
    square = torch.randn(2 * (256 if args.quick else 1024), 1024, device=device)
    clock, differences, signs, timed = clock_of(device), {}, 0, {}
    for shape, points in surfaces(args, num_points):
        latents = network.encode(points.unsqueeze(0).to(device))
        fields = {side: network.decode(latents, fold=side == "folded") for side in ("plain", "folded")}
        fold_seconds = clock(lambda field=fields["folded"]: field(asked[:, :1]))
        plain, folded = (fields[side](asked).double() for side in ("plain", "folded"))
        differences[shape] = float((plain - folded).abs().max() / plain.std())
        signs += int(((plain > 0) != (folded > 0)).sum())
        if not timed:
            works = {side: lambda _, field=field: field(asked) for side, field in fields.items()}
            works["product"] = lambda _: square @ square.T
            times = interleaved(works, args.rounds, warm=False, clock=clock)
            timed = {"fold_seconds": fold_seconds, "seconds": times}
    products = 2 * args.queries * rows_of(network) * (6 * network.point_embedding.octaves + 5)
    peak = 2 * len(square) ** 2 * square.shape[1] / np.array(times["product"])
    return {
        "network": name,
        "queries": args.queries,
        **timed,
        "speedup": ratios(times["plain"], times["folded"]),
        "limit": ratios(products / peak, times["folded"]),
        "shapes": len(differences),
        "largest_difference": max(differences.values()),
        "differences": differences,
        "signs_that_differ": signs,
    }


def rows_of(network: Autoencoder) -> int:
    """Return the number of attention scores of a query: the latents of all levels, times the heads."""
    heads = network.to_logits.in_features // len(network.levels) // HEAD_WIDTH
    return heads * sum(level.num_latents for level in network.levels)


def show(rows: list[dict[str, object]], device: torch.device) -> None:
    """Print the rows as a table."""
    columns = ("network", "queries", "plain ms", "folded ms", "plain / folded", "limit", "fold ms", "shapes")
    table = Table(*columns, "difference", "signs", title=f"queries on {device}, median (quartiles)")
    for row in rows:
        milliseconds = {side: [1e3 * value for value in values] for side, values in row["seconds"].items()}
        table.add_row(
            row["network"],
            f"{row['queries']:,}",
            in_words(quartiles(milliseconds["plain"]), 1),
            in_words(quartiles(milliseconds["folded"]), 1),
            in_words(row["speedup"]),
            in_words(row["limit"]),
            f"{1e3 * row['fold_seconds']:.1f}",
            str(row["shapes"]),
            f"{row['largest_difference']:.1e}",
            str(row["signs_that_differ"]),
        )
    Console(width=140).print(table)


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_arguments(parser)
    names = [*AUTOENCODERS, PAPER]
    parser.add_argument("--networks", nargs="+", choices=names, default=names, help="default: all")
    parser.add_argument("--queries", type=int, default=65536, metavar="Q", help="queries per call (default: 65536)")
    parser.add_argument("--rounds", type=int, default=9, metavar="K", help="measured rounds (default: 9)")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="few queries and two rounds, to check that it runs")
    parser.add_argument("--output", type=Path, default=Path("runs/decoding.json"), help="default: %(default)s")
    args = parser.parse_args()
    if args.quick:
        args.queries, args.rounds = 256, 2
    torch.set_num_threads(1)
    device = named_device(args.device)
    rows = [measure_queries(name, args, device) for name in args.networks]
    show(rows, device)
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
