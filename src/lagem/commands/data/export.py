"""`lagem export`: write prepared data in the layouts of other trainers."""

import argparse
from pathlib import Path

SUMMARY = "write prepared data in a layout that other trainers read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="folder of `lagem prepare` or `lagem import`")
    add(
        "--layout",
        choices=["vecset", "npz"],
        required=True,
        help="vecset (as 3DILG, 3DShape2VecSet and cod-vae read it), or npz (one file per shape, with a manifest)",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder to write to; an unfinished one is resumed")


def run(args: argparse.Namespace) -> None:
    """Export the data, and print where they are."""
    from lagem.importing.export import export_data

    print(export_data(args.data, args.output, args.layout))
