"""`lagem encode`: encode shapes once, so that the stages of the cascade can be trained on their latents."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "encode shapes into a cache of latents, on which the stages of the cascade are trained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    options.add_weights(parser)
    add(
        "data",
        metavar="DATA",
        help="folder of `lagem prepare`, or `procedural:TRAIN+VAL`, such as procedural:1024+64 for the 1,024 training "
        "shapes and 64 validation shapes that ProceduralDataModule generates with the same seed",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder of the cache; an unfinished one is resumed")
    add(
        "--subsets",
        type=int,
        default=4,
        metavar="K",
        help="encodings of each shape, from different points (default: %(default)s)",
    )
    add(
        "--axis-scale",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="scale each axis by a random factor in this range, in all encodings of a shape except the first (default: "
        "no scaling)",
    )
    add("--splits", nargs="+", metavar="NAME", help="splits to encode (default: all)")
    add(
        "--ids",
        type=Path,
        metavar="FILE",
        help="list written by `lagem select-ids`; only its shapes are encoded (default: all shapes)",
    )
    options.add_surface_points(parser)
    options.add_batch_size(parser, 1)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_retry_refused(parser)
    options.add_verify(parser)
    options.add_part(parser)
    options.add_status(parser)


def run(args: argparse.Namespace) -> None:
    """Encode the shapes and print a report; with --status, only print how many shapes are done."""
    from lagem.commands import checks

    checks.check_data(args.data, "prepared", "procedural")
    checks.check_autoencoder(args.weights)
    from lagem.latents.report import show
    from lagem.latents.run import encode_data, status_of_data

    if args.status:
        print(status_of_data(args.data, args.output, splits=args.splits, ids=args.ids, seed=args.seed))
        return
    refused = encode_data(
        args.weights,
        args.data,
        args.output,
        num_surface_points=args.surface_points,
        subsets=args.subsets,
        axis_scale=args.axis_scale,
        splits=args.splits,
        ids=args.ids,
        batch_size=args.batch_size,
        device=args.device,
        seed=args.seed,
        retry_refused=args.retry_refused,
        part=args.part,
        verify=args.verify,
    )
    show(args.output, refused, args.part)
