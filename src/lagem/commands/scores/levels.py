"""`lagem levels`: show what each level of an autoencoder carries."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "show what each level carries: scores with one level replaced by noise, and with only the coarse levels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_weights(parser)
    add("data", type=Path, metavar="DATA", help="folder of `lagem prepare`")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for levels.md, levels.json and levels.png")
    add("--split", default="val", metavar="NAME", help="split of the folder (default: val)")
    options.add_points(parser, 20_000)
    options.add_resolution(parser, 64)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_up_of_data(parser, options.UP_OF_PREPARED)


def run(args: argparse.Namespace) -> None:
    """Study the levels, print the tables, and write the results."""
    from lagem.commands import checks

    checks.check_data(args.data, "prepared", "meshes")
    checks.check_autoencoder(args.weights)
    checks.check_output(args.output)
    from lagem.studies.levels import study_levels

    study_levels(
        args.weights,
        args.data,
        args.output,
        split=args.split,
        points=args.points,
        resolution=args.resolution,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
