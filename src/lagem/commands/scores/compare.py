"""`lagem compare`: compare evaluations of the same shapes, paired by shape."""

import argparse
from pathlib import Path

SUMMARY = "compare evaluations of the same shapes: differences of the means, with paired intervals"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "first",
        type=Path,
        metavar="A",
        help="folder of `lagem evaluate` to compare the others with, or a folder that holds one for each training",
    )
    add(
        "others",
        type=Path,
        nargs="+",
        metavar="B",
        help="folders of `lagem evaluate`, of other weights or of the retrieval baseline, or folders with "
        "one for each training, which are paired in the order of their names",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for comparison.md, comparison.json and categories.png (default: none)",
    )


def run(args: argparse.Namespace) -> None:
    """Compare the evaluations, print the tables, and write them to --output if it is given."""
    from lagem.commands import checks

    checks.check_there([args.first, *args.others], "give folders that `lagem evaluate` wrote")
    from lagem.evaluation.reconstruction.comparison_report import report_comparisons

    report_comparisons([args.first, *args.others], args.output)
