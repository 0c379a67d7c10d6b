"""`lagem compare`: evaluations of the same shapes, pair by pair."""

import argparse
from pathlib import Path

SUMMARY = "compare evaluations of the same shapes: differences of the means with paired intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("first", type=Path, metavar="A", help="folder of `lagem evaluate` that the others are held against")
    add("others", type=Path, nargs="+", metavar="B", help="folders of other weights, or of the retrieval baseline")
    add("--output", type=Path, metavar="DIR", help="folder for comparison.md and comparison.json (default: none)")


def run(args: argparse.Namespace) -> None:
    """Compare, print, and write where asked."""
    from lagem.evaluation.reconstruction import comparison_report
    from lagem.evaluation.reconstruction.comparison import compare

    comparisons = compare([args.first, *args.others])
    comparison_report.show(comparisons)
    if args.output:
        comparison_report.write(comparisons, args.output)
        print(f"comparison.md and comparison.json are in {args.output}")
