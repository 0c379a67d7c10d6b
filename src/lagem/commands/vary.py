"""`lagem vary`: what the levels of a cascade control."""

import argparse
from pathlib import Path

SUMMARY = "keep coarse levels of samples or of a mesh and make the finer ones anew: pictures, and how much changes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of `lagem bundle`")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for variations.md, .json and pictures")
    add("--category", metavar="NAME", help="what to make; needed where the cascade is conditional on a category")
    add("--mesh", type=Path, metavar="FILE", help="share this mesh's own latents, in one group (default: samples')")
    add("--groups", type=int, default=8, metavar="N", help="groups that share latents (default: 8)")
    add("--variants", type=int, default=8, metavar="N", help="samples of a group (default: 8)")
    add("--steps", type=int, nargs="+", default=[18], metavar="N", help="sampling steps, as of generate (default: 18)")
    add("--guidance", type=float, default=1.0, metavar="W", help="classifier-free guidance (default: 1, none)")
    add("--resolution", type=int, default=64, metavar="R", help="cells along a side of the grid (default: 64)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samples (default: 0)")
    add("--device", default="cpu", metavar="NAME", help="torch device (default: cpu)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the pictures (default: z)")


def run(args: argparse.Namespace) -> None:
    """Make the variations and print how far they lie apart."""
    from rich.console import Console

    from lagem.bundle import load_bundle
    from lagem.device import named_device
    from lagem.evaluation.tables import terminal_table
    from lagem.generation import SamplerSettings
    from lagem.variation import rows_of, vary

    results = vary(
        load_bundle(args.bundle).to(named_device(args.device)),
        args.output,
        category=args.category,
        mesh=args.mesh,
        groups=args.groups,
        variants=args.variants,
        seed=args.seed,
        sampler=SamplerSettings(steps=args.steps, guidance=args.guidance),
        resolution=args.resolution,
        up=args.up,
    )
    Console(soft_wrap=True).print(terminal_table(rows_of(results)))
    print(f"variations.md, variations.json and pictures are in {args.output}")
