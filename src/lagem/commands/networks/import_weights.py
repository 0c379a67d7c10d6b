"""`lagem import-weights`: convert a published checkpoint to a safetensors file, without running code from it."""

import argparse
from pathlib import Path

SUMMARY = "convert a published checkpoint of LaGeM or VecSet to a safetensors file, without running code from it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("checkpoint", type=Path, help="the published .pth file")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument(
        "--num-latents",
        type=int,
        nargs="+",
        help="number of latents of each level, fine to coarse; the file does not store them (default: the published "
        "2048 512 128, or 512 of VecSet)",
    )
    parser.add_argument(
        "--num-surface-points",
        type=int,
        help="surface points per shape in training (default: the published 8192, or 2048 of VecSet)",
    )


def run(args: argparse.Namespace) -> None:
    """Import the weights, and print the numbers of levels and parameters."""
    from lagem.commands import checks

    if args.output.suffix != ".safetensors":
        raise ValueError(f"--output must end in .safetensors, but {args.output} was given.")
    checks.check_there([args.checkpoint], "give a checkpoint that the authors published")
    from lagem.weights.autoencoder import save_autoencoder
    from lagem.weights.published import import_published, published_points

    autoencoder = import_published(args.checkpoint, num_latents=args.num_latents)
    points = published_points(autoencoder) if args.num_surface_points is None else args.num_surface_points
    save_autoencoder(autoencoder, args.output, num_surface_points=points)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    print(f"wrote {args.output}: {len(autoencoder.levels)} levels, {parameters:,} parameters")
