"""`lagem encode`: the latents of many shapes, once, for training the cascade."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "encode shapes to a cache of latents, from which the cascade's stages are trained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_weights(parser)
    add(
        "data",
        metavar="DATA",
        help="folder of `lagem prepare`, or `procedural:TRAIN+VAL`: so many of the shapes that ProceduralDataModule "
        "makes with the same seed, for example procedural:1024+64",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="the cache; an existing one is continued")
    add("--subsets", type=int, default=4, metavar="K", help="draws of each shape's surface (default: %(default)s)")
    add(
        "--axis-scale",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="scale each axis at random in every subset but the first (default: no scaling)",
    )
    add("--splits", nargs="+", metavar="NAME", help="splits to encode (default: all)")
    add(
        "--ids",
        type=Path,
        metavar="FILE",
        help="encode the shapes of a list of `lagem select-ids` alone (default: all)",
    )
    options.add_surface_points(parser)
    options.add_batch_size(parser, 1)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_retry_refused(parser)
    options.add_part(parser)
    options.add_status(parser)


def run(args: argparse.Namespace) -> None:
    """Encode, and print what became of the shapes."""
    from lagem.device import named_device
    from lagem.latents.encoding import EncodeSettings
    from lagem.latents.pipeline import encode, encoding_status
    from lagem.latents.report import show, show_part
    from lagem.latents.selection import read_ids
    from lagem.sources.augmentation import Augmentation
    from lagem.sources.data import resolve_data
    from lagem.storage.parts import Part
    from lagem.weights.autoencoder import load_autoencoder

    surfaces = resolve_data(args.data, seed=args.seed, accepted=("prepared", "procedural"))
    splits = args.splits and tuple(sorted(args.splits))
    ids = args.ids and tuple(read_ids(args.ids))
    if args.status:
        print(encoding_status(surfaces, args.output, splits, ids))
        return
    part = Part.of(args.part) if args.part else None
    autoencoder, spec = load_autoencoder(args.weights)
    autoencoder.to(named_device(args.device))
    settings = EncodeSettings(
        num_surface_points=spec.num_surface_points if args.surface_points is None else args.surface_points,
        subsets=args.subsets,
        seed=args.seed,
        batch_size=args.batch_size,
        splits=splits,
        ids=ids,
    )
    augment = args.axis_scale and Augmentation(axis_scale=tuple(args.axis_scale), rotation="none")
    refused = encode(
        autoencoder, surfaces, args.output, settings, augment=augment, retry_refused=args.retry_refused, part=part
    )
    if part is None:
        show(args.output, refused)
    else:
        show_part(refused, part)
