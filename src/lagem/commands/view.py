"""`lagem view`: show meshes and point clouds in the browser."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "show meshes and point clouds in the browser, as shapes that can be turned"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="meshes, point clouds (ply, xyz, npy), folders of meshes, or manifests",
    )
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="write this HTML file, replaced if it exists, and open no browser (default: a temporary file)",
    )
    options.add_up(
        parser,
        "axis that points up in files that do not state it; glTF is always y-up",
    )


def run(args: argparse.Namespace) -> None:
    """Write the page, and open it unless --output is given."""
    from lagem.commands import checks

    checks.check_there(args.files, "give meshes, point clouds or folders of meshes")
    from lagem.reports.view import view

    view(args.files, args.output, up=args.up)
