"""`lagem vary`: what the levels of a cascade control."""

import argparse
from pathlib import Path

from lagem.generation.settings import SamplerSettings

SUMMARY = (
    "what the levels of a cascade control: share coarse ones, put noise in parts, mix two shapes; pictures, numbers"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "bundle",
        nargs="?",
        metavar="BUNDLE",
        help="folder of `lagem bundle`, or one of ours: furniture or meshes (default: furniture)",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for tables, JSON and pictures")
    add("--category", metavar="NAME", help="what to make; needed where the cascade is conditional on a category")
    add(
        "--mesh",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="start from these meshes' own latents (default: from samples)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--noise",
        type=float,
        nargs="+",
        metavar="PART",
        help="replace these parts of each level's vectors by Gaussian noise, 0 to 1 (default: groups of samples that "
        "share coarse levels and have the finer ones made anew)",
    )
    how.add_argument(
        "--mix",
        action="store_true",
        help="coarse levels of one shape with the finer ones of another: of pairs of samples, or of meshes A B A B …",
    )
    add("--groups", type=int, metavar="N", help="samples or pairs of them to start from (default: 8)")
    add("--variants", type=int, metavar="N", help="samples of a group that shares levels (default: 8)")
    SamplerSettings.add_options(parser)
    add("--resolution", type=int, default=64, metavar="R", help="cells along a side of the grid (default: 64)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samples (default: 0)")
    add("--device", default="cpu", metavar="NAME", help="torch device; auto: a GPU if there is one (default: cpu)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the pictures (default: z)")


def run(args: argparse.Namespace) -> None:
    """Carry out one study and print its table."""
    from rich.console import Console

    from lagem.evaluation.tables import terminal_table
    from lagem.generation.bundle import load_cascade
    from lagem.studies.mixing import mix_shapes, mixture_rows
    from lagem.studies.noise import disturb_levels, noise_rows
    from lagem.studies.sharing import share_levels, sharing_rows
    from lagem.studies.study import Study

    if args.groups is not None and args.mesh:
        raise ValueError("--groups is how many samples to start from, but --mesh names the shapes; leave one out.")
    if args.variants is not None and (args.mix or args.noise is not None):
        raise ValueError(
            "--variants is of groups that share levels, which --noise and --mix do not make; leave it out."
        )
    generator = load_cascade(args.bundle or "furniture", device=args.device)
    study = Study(
        output=args.output,
        category=args.category,
        meshes=args.mesh,
        groups=8 if args.groups is None else args.groups,
        seed=args.seed,
        sampler=SamplerSettings.from_options(args),
        resolution=args.resolution,
        up=args.up,
    )
    if args.mix:
        rows = mixture_rows(mix_shapes(generator, study))
    elif args.noise is not None:
        rows = noise_rows(disturb_levels(generator, study, fractions=args.noise))
    else:
        rows = sharing_rows(share_levels(generator, study, variants=8 if args.variants is None else args.variants))
    Console(soft_wrap=True).print(terminal_table(rows))
    print(f"the table, its numbers as JSON, and pictures are in {args.output}")
