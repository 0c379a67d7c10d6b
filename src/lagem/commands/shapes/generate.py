"""`lagem generate`: generate new shapes with a cascade."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "generate new shapes with a cascade; if it is conditional on categories, choose some of them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_bundle(parser)
    add(
        "--category",
        nargs="+",
        metavar="NAME",
        help="categories to generate, or `all`; required if the cascade is conditional on a category",
    )
    add("--count", type=int, default=16, metavar="N", help="number of shapes of each category (default: 16)")
    options.add_seed(parser)
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for meshes, latents.safetensors, samples.csv and picture.png",
    )
    add(
        "--embeddings",
        metavar="FILE",
        help="file of `lagem embed`, for a cascade that was trained on embeddings; makes --count shapes per embedding",
    )
    add(
        "--latents",
        metavar="CACHE",
        help="folder of `lagem encode`, which holds the shapes for --keep; at most --count of each category are used",
    )
    add(
        "--keep",
        type=int,
        nargs="+",
        default=[],
        metavar="LEVEL",
        help="coarsest levels to take from real shapes, for example 3, or 3 2; the finer levels are sampled",
    )
    add("--split", metavar="NAME", help="split of the shapes of --latents (default: val)")
    options.add_sampler(parser)
    options.add_surface(parser)
    options.add_format(parser)
    options.add_batch_size(parser, 16)
    options.add_device(parser)
    options.add_up_of_data(
        parser,
        options.UP_OF_CASCADE,
        "axis that points up in the shapes, which the picture and glb files show upright",
    )


def run(args: argparse.Namespace) -> None:
    """Generate the shapes, and write their meshes, latents, table and picture."""
    from lagem.commands import checks

    checks.check_output(args.output)
    checks.check_cascade(args.bundle)
    from lagem.generation.run import generate

    generate(
        args.bundle,
        args.output,
        categories=args.category,
        count=args.count,
        embeddings=args.embeddings,
        latents=args.latents,
        split=args.split,
        keep=args.keep,
        sampler=options.sampler_of(args),
        surface=options.surface_of(args),
        format=args.format,
        batch_size=args.batch_size,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
