"""`lagem select-ids`: choose shapes of a large data set reproducibly."""

import argparse
from pathlib import Path

SUMMARY = "choose shapes of a large data set at random by a seed, and write the list of their ids"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="a .csv table with ids, or a folder of `lagem prepare`")
    add("--count", type=int, required=True, metavar="N", help="number of ids to choose")
    add("--seed", type=int, default=0, metavar="N", help="seed of the selection (default: 0)")
    add(
        "--column",
        metavar="NAME",
        help="title of the column with the ids, or the column's number, counted from 1, if the table has no titles "
        "(default: id or uid)",
    )
    add("--output", type=Path, required=True, metavar="FILE", help="list to write, for `lagem encode --ids`")


def run(args: argparse.Namespace) -> None:
    """Choose the ids, write the list of them, and print the list's SHA-256."""
    from lagem.latents.selection import select_ids

    digest = select_ids(args.source, args.output, count=args.count, seed=args.seed, column=args.column)
    print(f"{args.count} ids of seed {args.seed}, sha256 {digest}: {args.output}")
