"""`lagem generate`: new shapes out of a cascade."""

import argparse
from pathlib import Path

from lagem.generation.settings import SamplerSettings

SUMMARY = "make new shapes with a cascade, of a category where it knows categories"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "bundle",
        nargs="?",
        metavar="BUNDLE",
        help="folder of `lagem bundle`, or one of ours: furniture or meshes (default: furniture)",
    )
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
    add(
        "--latents",
        metavar="CACHE",
        help="folder of `lagem encode`, from whose shapes the levels of --keep come: at most --count of each category",
    )
    add(
        "--keep",
        type=int,
        nargs="+",
        default=[],
        metavar="LEVEL",
        help="coarsest levels that are those of real shapes, for example 3, or 3 2; finer ones are sampled",
    )
    add("--split", metavar="NAME", help="split of the shapes of --latents (default: val)")
    SamplerSettings.add_options(parser)
    add("--resolution", type=int, default=128, metavar="R", help="cells along a side of the grid (default: 128)")
    add("--largest-component", action="store_true", help="keep the largest connected part of each mesh alone")
    add("--faces", type=int, metavar="N", help="most faces of a mesh (default: all)")
    add("--format", choices=["ply", "glb", "obj", "stl"], default="ply", help="file format (default: ply)")
    add("--batch-size", type=int, default=16, metavar="B", help="samples made at once (default: 16)")
    add("--device", default="cpu", metavar="NAME", help="torch device; auto: a GPU if there is one (default: cpu)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the picture (default: z)")


def run(args: argparse.Namespace) -> None:
    """Generate the shapes; exit code 1 where none has a surface."""
    from dataclasses import asdict
    from itertools import chain

    from lagem.generation.bundle import load_cascade
    from lagem.generation.report import GenerationReport
    from lagem.generation.requests import forced_requests, free_requests
    from lagem.generation.settings import SurfaceSettings
    from lagem.latents.cache import LatentCache

    sampler = SamplerSettings.from_options(args)
    surface = SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component, faces=args.faces)
    generator = load_cascade(args.bundle or "furniture", device=args.device)
    every = args.category == ["all"] and bool(generator.category_names)  # else `all` is refused as any other name
    categories: list[str | None] = [*(generator.category_names if every else args.category or [None])]
    if len(set(categories)) < len(categories):
        raise ValueError(f"--category names one more than once: {' '.join(map(str, categories))}.")
    requests = free_requests(categories, args.count)
    if args.latents:
        requests = forced_requests(
            LatentCache(args.latents),
            generator,
            split=args.split or "val",
            categories=categories,
            every=every,
            count=args.count,
            keep=args.keep,
        )
    elif args.keep or args.split:
        raise ValueError("--keep and --split choose from the shapes of --latents CACHE; name it, or leave them out.")
    report = GenerationReport(
        output=args.output,
        total=sum(len(request.sources) for request in requests),
        format=args.format,
        up=args.up,
        about={
            "bundle": args.bundle or "furniture",
            "category": args.category,
            "seed": args.seed,
            **({"latents": args.latents, "split": args.split or "val", "keep": args.keep} if args.latents else {}),
            **asdict(sampler),
        },
        num_categories=len(requests),
        sources={
            request.first + number: source for request in requests for number, source in enumerate(request.sources)
        },
    )
    shapes = [
        generator.stream(
            count=len(request.sources),
            category=request.category,
            given=request.given,
            seed=args.seed,
            first=request.first,
            batch_size=args.batch_size,
            sampler=sampler,
            surface=surface,
            on_step=report.on_step,
        )
        for request in requests
    ]
    report.take(chain.from_iterable(shapes))
    if not report.num_meshes:
        raise SystemExit(1)
