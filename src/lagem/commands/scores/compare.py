"""`lagem compare`: paired comparison of evaluations of the same shapes."""

import argparse
from pathlib import Path

SUMMARY = "compare evaluations of the same shapes: differences of the means with paired intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("first", type=Path, metavar="A", help="folder of `lagem evaluate` that the others are compared with")
    add("others", type=Path, nargs="+", metavar="B", help="folders of other weights, or of the retrieval baseline")
    add("--output", type=Path, metavar="DIR", help="folder for comparison.md and comparison.json (default: none)")


def run(args: argparse.Namespace) -> None:
    """Compare, print the tables, and write them to --output."""
    from lagem.evaluation.reconstruction.comparison_report import report_comparisons

    report_comparisons([args.first, *args.others], args.output)
