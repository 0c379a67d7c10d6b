"""`lagem generate`: new shapes out of a cascade."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lagem.sampler_settings import SamplerSettings

if TYPE_CHECKING:
    from torch import Tensor

    from lagem.generation import CascadedGenerator

SUMMARY = "make new shapes with a cascade, of a category where it knows categories"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "bundle",
        nargs="?",
        default="furniture",
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
    add("--split", default="val", metavar="NAME", help="split of the shapes of --latents (default: val)")
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
    from lagem.pretrained import cascade_folder

    sampler = SamplerSettings.from_options(args)
    surface = SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component, faces=args.faces)
    generator = load_bundle(cascade_folder(args.bundle)).to(named_device(args.device))
    # a cascade without categories refuses `all` as it does any other
    asked = (generator.category_names or args.category) if args.category == ["all"] else args.category
    wanted: list[tuple[str | None, int, dict[int, Tensor]]] = [(name, args.count, {}) for name in asked or [None]]
    if args.latents or args.keep:
        wanted = shapes_to_complete(args, generator, asked or [None])
    report = GenerationReport(
        output=args.output,
        total=sum(count for _, count, _ in wanted),
        format=args.format,
        up=args.up,
        about={
            "bundle": args.bundle,
            "category": args.category,
            "seed": args.seed,
            **({"latents": args.latents, "split": args.split, "keep": args.keep} if args.keep else {}),
            **asdict(sampler),
        },
        num_categories=len(wanted),
    )
    shapes = [
        generator.generate(
            count=count,
            category=category,
            given=given,
            seed=args.seed,
            first=sum(earlier for _, earlier, _ in wanted[:number]),
            batch_size=args.batch_size,
            sampler=sampler,
            surface=surface,
            on_step=report.on_step,
        )
        for number, (category, count, given) in enumerate(wanted)
    ]
    report.take(chain.from_iterable(shapes))
    if not report.num_meshes:
        raise SystemExit(1)


def shapes_to_complete(
    args: argparse.Namespace, generator: "CascadedGenerator", categories: Sequence[str | None]
) -> "list[tuple[str | None, int, dict[int, Tensor]]]":
    """Category, number and kept latents of real shapes; ValueError where the options or the cache do not fit."""
    from lagem.fingerprint import check_fingerprint
    from lagem.latents import LatentCache
    from lagem.teacher_forcing import categories_of, check_kept, true_latents

    if not args.latents:
        raise ValueError("--keep needs --latents CACHE, whose shapes give the levels.")
    check_kept(args.keep, len(generator.specs))
    cache = LatentCache(args.latents)
    check_fingerprint(generator.specs[0].autoencoder, cache.fingerprint, f"the latent cache {args.latents}")
    if args.category == ["all"]:  # a small split may have shapes of some categories only
        categories = sorted(categories_of(cache, args.split) & set(generator.category_names))
    found = {
        category: true_latents(cache, split=args.split, category=category, count=args.count, keep=args.keep)
        for category in categories
    }
    return [(category, len(latents[args.keep[0]]), latents) for category, latents in found.items()]
