"""`lagem bundle`: put an autoencoder, and the stages of its cascade if there are any, into one folder."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "put an autoencoder, and the stages of its cascade, into one folder, after checking that they belong together"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_weights(parser, "autoencoder")
    add(
        "stages",
        nargs="*",
        metavar="STAGE",
        help="stages, one for each level, in any order: checkpoints, safetensors files, or folders of runs; give "
        "none to save only the autoencoder",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder to create")
    add(
        "--trained-with",
        metavar="AUTOENCODER",
        help="the autoencoder whose latents the stages learned, if the given one has its encoder and another decoder "
        "(trained with freeze_encoder)",
    )
    add(
        "--half",
        action="store_true",
        help="store the weights as float16, which halves the size and changes samples slightly",
    )


def run(args: argparse.Namespace) -> None:
    """Write the bundle, and print the number of its stages and its size."""
    from lagem.commands import checks

    checks.check_autoencoder(args.autoencoder)
    if args.trained_with is not None:
        checks.check_autoencoder(args.trained_with)
    checks.check_stages(args.stages)
    from lagem.generation.bundle import write_bundle

    folder = write_bundle(args.autoencoder, args.stages, args.output, trained_with=args.trained_with, half=args.half)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"wrote {folder}: {len(args.stages)} stages, {size / 2**20:,.1f} MiB")
