"""`lagem select-ids`: a reproducible selection from a large data set."""

import argparse
from pathlib import Path

SUMMARY = "choose shapes of a large data set by a seed, and write a reproducible list of their ids"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help=".csv table with ids, or folder of `lagem prepare`")
    add("--count", type=int, required=True, metavar="N", help="number of ids")
    add("--seed", type=int, default=0, metavar="N", help="seed of the selection (default: 0)")
    add(
        "--column",
        metavar="NAME",
        help="title of the column with the ids, or its number, from 1, if the table has no titles (default: id or uid)",
    )
    add("--output", type=Path, required=True, metavar="FILE", help="the list, for `lagem encode --ids`")


def run(args: argparse.Namespace) -> None:
    """Write the list and print its digest."""
    from lagem.latents.selection import select_ids

    digest = select_ids(args.source, args.output, count=args.count, seed=args.seed, column=args.column)
    print(f"{args.count} ids of seed {args.seed}, sha256 {digest}: {args.output}")
