"""`lagem generate`: new shapes out of a cascade."""

import argparse
from pathlib import Path

from lagem.sampler_settings import SamplerSettings

SUMMARY = "make new shapes with a cascade, of a category where it knows categories"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("bundle", type=Path, nargs="?", metavar="BUNDLE", help="folder of `lagem bundle` (default: our furniture)")
    add(
        "--category",
        nargs="+",
        metavar="NAME",
        help="what to make, `all` for every category it knows; needed where the cascade is conditional on a category",
    )
    add("--count", type=int, default=16, metavar="N", help="how many shapes of each category (default: 16)")
    add("--seed", type=int, default=0, metavar="N", help="sample i is made from (seed, i) alone (default: 0)")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for meshes, latents.safetensors, samples.csv and picture.png",
    )
    SamplerSettings.add_options(parser)
    add("--resolution", type=int, default=128, metavar="R", help="cells along a side of the grid (default: 128)")
    add("--largest-component", action="store_true", help="keep the largest connected part of each mesh alone")
    add("--faces", type=int, metavar="N", help="most faces of a mesh (default: all)")
    add("--format", choices=["ply", "glb", "obj", "stl"], default="ply", help="file format (default: ply)")
    add("--batch-size", type=int, default=16, metavar="B", help="samples made at once (default: 16)")
    add("--device", default="cpu", metavar="NAME", help="torch device (default: cpu)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the picture (default: z)")


def run(args: argparse.Namespace) -> None:
    """Generate the shapes; exit code 1 where none has a surface."""
    from dataclasses import asdict
    from itertools import chain

    from lagem.bundle import load_bundle
    from lagem.device import named_device
    from lagem.generation import SurfaceSettings
    from lagem.generation_report import GenerationReport
    from lagem.pretrained import pretrained_cascade

    sampler = SamplerSettings.from_options(args)
    surface = SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component, faces=args.faces)
    generator = load_bundle(args.bundle or pretrained_cascade()).to(named_device(args.device))
    # a cascade without categories refuses `all` as it does any other
    asked = (generator.category_names or args.category) if args.category == ["all"] else args.category
    categories = asked or [None]
    report = GenerationReport(
        output=args.output,
        total=args.count * len(categories),
        format=args.format,
        up=args.up,
        about={
            "bundle": str(args.bundle or "furniture"),
            "category": args.category,
            "seed": args.seed,
            **asdict(sampler),
        },
        num_categories=len(categories),
    )
    shapes = [
        generator.generate(
            count=args.count,
            category=category,
            seed=args.seed,
            first=number * args.count,
            batch_size=args.batch_size,
            sampler=sampler,
            surface=surface,
            on_step=report.on_step,
        )
        for number, category in enumerate(categories)
    ]
    report.take(chain.from_iterable(shapes))
    if not report.num_meshes:
        raise SystemExit(1)
