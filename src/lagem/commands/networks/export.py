"""`lagem export`: write an autoencoder in a format that other programs run."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "write an autoencoder as ONNX graphs, which run without lagem and PyTorch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("--onnx", action="store_true", required=True, help="the format, so far the only one")
    options.add_weights(parser)
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="folder to create, with encoder, decoder and field")


def run(args: argparse.Namespace) -> None:
    """Write the graphs, and print their names and sizes."""
    from lagem.export.onnx_graphs import export_onnx

    for path in sorted(export_onnx(args.weights, args.output).iterdir()):
        print(f"wrote {path}: {path.stat().st_size / 2**20:,.1f} MiB")
