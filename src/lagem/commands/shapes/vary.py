"""`lagem vary`: show what the levels of a cascade control."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "show what the levels of a cascade control: share coarse levels, replace latents by noise, or mix two shapes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_bundle(parser)
    add("--output", type=Path, required=True, metavar="DIR", help="folder for tables, JSON and pictures")
    add("--category", metavar="NAME", help="category to make; required if the cascade is conditional on a category")
    add(
        "--mesh",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="start from the latents of these meshes (default: from samples)",
    )
    study = parser.add_mutually_exclusive_group()
    study.add_argument(
        "--noise",
        type=float,
        nargs="+",
        metavar="FRACTION",
        help="replace each of these fractions (0 to 1) of a level's latents by Gaussian noise (default: make groups "
        "of samples that share coarse levels and differ in the finer ones)",
    )
    study.add_argument(
        "--mix",
        action="store_true",
        help="combine the coarse levels of shape A with the finer levels of shape B, for pairs of samples, or for "
        "meshes in the order A B A B …",
    )
    add("--groups", type=int, metavar="N", help="number of samples, or pairs of samples, to start from (default: 8)")
    add("--variants", type=int, metavar="N", help="number of samples in each group that shares levels (default: 8)")
    options.add_sampler(parser)
    options.add_resolution(parser, 64)
    options.add_seed(parser)
    options.add_device(parser)
    options.add_up_of_data(parser, options.UP_OF_CASCADE)


def run(args: argparse.Namespace) -> None:
    """Run the study that the options choose, print its table, and write its files."""
    from lagem.commands import checks

    checks.check_output(args.output)
    checks.check_cascade(args.bundle)
    checks.check_there(args.mesh, "give meshes")
    from lagem.studies.run import vary

    vary(
        args.bundle,
        args.output,
        category=args.category,
        meshes=args.mesh,
        noise_fractions=args.noise,
        mix=args.mix,
        groups=args.groups,
        variants=args.variants,
        sampler=options.sampler_of(args),
        resolution=args.resolution,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
