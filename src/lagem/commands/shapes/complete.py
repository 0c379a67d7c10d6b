"""`lagem complete`: complete shapes of which only a part was seen."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "complete partial point clouds or meshes, in the coordinates of their files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("parts", type=Path, nargs="+", metavar="FILE", help="point clouds (ply, xyz, npy) or meshes of what was seen")
    add(
        "--cascade",
        required=True,
        metavar="BUNDLE",
        help="folder of `lagem bundle` or hf://OWNER/NAME: a cascade that was trained on partial clouds",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for meshes, completions.csv and picture.png",
    )
    add("--count", type=int, default=4, metavar="N", help="completions of each file (default: %(default)s)")
    add(
        "--samples",
        type=int,
        default=32,
        metavar="N",
        help="samples drawn for each file; those that fit best make its completions (default: %(default)s)",
    )
    add(
        "--averaged",
        type=int,
        default=8,
        metavar="N",
        help="the first completion is the mean of the N samples that fit best; 1 leaves it out (default: %(default)s)",
    )
    options.add_sampler(parser)
    options.add_surface(parser)
    options.add_format(parser)
    options.add_batch_size(parser, 16)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_up_of_data(parser, options.UP_OF_CASCADE, options.UP_OF_FILES)


def run(args: argparse.Namespace) -> None:
    """Complete the partial shapes in the files, and write the completions as meshes."""
    from lagem.commands import checks

    checks.check_output(args.output)
    checks.check_cascade(args.cascade)
    checks.check_any_there(args.parts, "give point clouds or meshes")
    from lagem.completion.run import complete

    complete(
        args.cascade,
        args.parts,
        args.output,
        count=args.count,
        samples=args.samples,
        averaged=args.averaged,
        sampler=options.sampler_of(args),
        surface=options.surface_of(args),
        format=args.format,
        batch_size=args.batch_size,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
