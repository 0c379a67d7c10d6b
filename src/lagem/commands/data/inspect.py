"""`lagem inspect`: show what a prepared folder holds, and which of its shapes are suspicious."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "summarise a prepared folder and list its suspicious shapes, as tables and pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("data", type=Path, metavar="DIR", help="folder that `lagem prepare` wrote")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for tables and pictures (default: inspection/ in the prepared folder)",
    )
    add(
        "--judged",
        type=int,
        default=200,
        metavar="N",
        help="number of shapes whose labels are checked by a second method (default: 200)",
    )
    add(
        "--within",
        type=float,
        default=0.01,
        metavar="D",
        help="two shapes count as copies if their Chamfer distance, minus the distance between two samples of one "
        "surface, is less than this (default: %(default)s)",
    )
    options.add_seed(parser)
    options.add_up_of_data(parser, options.UP_OF_PREPARED)


def run(args: argparse.Namespace) -> None:
    """Inspect the folder, print the report, and write its tables and pictures."""
    from lagem.prepared import inspection_report
    from lagem.prepared.inspection import inspect_folder

    inspection = inspect_folder(args.data, judged=args.judged, within=args.within, seed=args.seed)
    output = args.output or args.data / "inspection"
    inspection_report.show(inspection)
    inspection_report.write(inspection, output, args.up or inspection.up or "z")
    print(f"Tables and pictures: {output}")
