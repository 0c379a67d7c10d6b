"""`lagem export`: write an autoencoder or prepared data in a format that other programs read."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "write an autoencoder as ONNX graphs, or prepared data in a layout that other trainers read"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        help=f"with --onnx: {options.WEIGHTS}; with --layout: a folder of `lagem prepare` or `lagem import`",
    )
    formats = parser.add_mutually_exclusive_group(required=True)
    formats.add_argument("--onnx", action="store_true", help="write encoder, decoder and field as ONNX graphs")
    formats.add_argument(
        "--layout",
        choices=["vecset", "npz"],
        help="vecset (as 3DILG, 3DShape2VecSet and cod-vae read it), or npz (one file per shape, with a manifest)",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to write to; with --layout, an unfinished export is resumed",
    )


def run(args: argparse.Namespace) -> None:
    """Export, and print what was written."""
    if args.onnx:
        from lagem.commands import checks

        checks.check_autoencoder(args.source)
        from lagem.export.onnx_graphs import export_onnx

        for path in sorted(export_onnx(args.source, args.output).iterdir()):
            print(f"wrote {path}: {path.stat().st_size / 2**20:,.1f} MiB")
    else:
        from lagem.export.layouts import export_data

        print(export_data(Path(args.source), args.output, args.layout))
