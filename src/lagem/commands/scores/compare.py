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
        help="folder of `lagem evaluate` with which the others are compared, or a folder that holds one such folder "
        "for each training",
    )
    add(
        "others",
        type=Path,
        nargs="+",
        metavar="B",
        help="folders of `lagem evaluate`, for other weights or the retrieval baseline. If A holds one folder for each "
        "training, each B for other weights must do the same; trainings are paired in the order of their folders' "
        "names",
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
