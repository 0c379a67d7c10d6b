"""`lagem import-weights`: the authors' checkpoint as a safetensors file, running no code from it."""

import argparse
from pathlib import Path

SUMMARY = "convert the authors' published checkpoint to a safetensors file, running no code from it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("checkpoint", type=Path, help="the published .pth")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")
    parser.add_argument(
        "--num-latents",
        type=int,
        nargs="+",
        default=[2048, 512, 128],
        help="latents of each level, fine to coarse, since the file does not say (default: the published 2048 512 128)",
    )
    parser.add_argument(
        "--num-surface-points", type=int, default=8192, help="surface points the model was trained with (default: 8192)"
    )


def run(args: argparse.Namespace) -> None:
    """Import the weights, and print their size."""
    from lagem.weights.autoencoder import save_autoencoder
    from lagem.weights.published import import_published

    if args.output.suffix != ".safetensors":
        raise ValueError(f"--output must end in .safetensors, but {args.output} was given.")
    autoencoder = import_published(args.checkpoint, num_latents=args.num_latents)
    save_autoencoder(autoencoder, args.output, num_surface_points=args.num_surface_points)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    print(f"wrote {args.output}: {len(autoencoder.levels)} levels, {parameters:,} parameters")
