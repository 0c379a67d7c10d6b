"""`lagem import-weights`: convert the authors' checkpoint to a safetensors file, without running code from it."""

import argparse
from pathlib import Path

SUMMARY = "convert the authors' published checkpoint to a safetensors file, without running code from it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("checkpoint", type=Path, help="the published .pth file")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument(
        "--num-latents",
        type=int,
        nargs="+",
        default=[2048, 512, 128],
        help="number of latents of each level, fine to coarse; the file does not store them (default: the published "
        "2048 512 128)",
    )
    parser.add_argument(
        "--num-surface-points", type=int, default=8192, help="surface points per shape in training (default: 8192)"
    )


def run(args: argparse.Namespace) -> None:
    """Import the weights, and print the numbers of levels and parameters."""
    from lagem.weights.autoencoder import save_autoencoder
    from lagem.weights.published import import_published

    if args.output.suffix != ".safetensors":
        raise ValueError(f"--output must end in .safetensors, but {args.output} was given.")
    autoencoder = import_published(args.checkpoint, num_latents=args.num_latents)
    save_autoencoder(autoencoder, args.output, num_surface_points=args.num_surface_points)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    print(f"wrote {args.output}: {len(autoencoder.levels)} levels, {parameters:,} parameters")
