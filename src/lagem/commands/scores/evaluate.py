"""`lagem evaluate`: score an autoencoder, or the retrieval baseline, on prepared shapes or on raw meshes."""

import argparse
from pathlib import Path

from lagem.commands import options
from lagem.pretrained import AUTOENCODERS, CASCADES

SUMMARY = "score an autoencoder on prepared shapes or on meshes: by shape, by category and on average over all shapes"
RETRIEVAL = "retrieval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    weights = add(
        "weights",
        metavar="CKPT",
        help=f"{options.WEIGHTS}; or `retrieval` for the baseline that returns the nearest training shape",
    )
    options.complete_names(weights, *AUTOENCODERS, *CASCADES, RETRIEVAL)
    add("data", type=Path, metavar="DATA", help="folder of `lagem prepare`, or meshes: a file, a folder, a manifest")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for scores.csv, card.json, card.md, examples.png",
    )
    add("--split", default="val", metavar="NAME", help="split of a prepared folder (default: val)")
    add(
        "--preset",
        choices=["vecset"],
        help="score as the script of 3DShape2VecSet does: in its box frame, from 2,048 input points "
        "unless --surface-points is given, on a dense grid of 129 nodes along a side, with a sample of the posterior "
        "of KL levels (default: as card.md describes)",
    )
    add("--category", nargs="+", metavar="NAME", help="score only shapes of these categories (default: all)")
    add(
        "--outer",
        action="store_true",
        help="leave out faces of raw meshes that cannot be seen from outside, and list them in inner_faces.csv",
    )
    options.add_surface_points(parser)
    options.add_posterior(parser)
    options.add_points(parser)
    options.add_resolution(parser)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_up_of_data(parser, f"{options.UP_OF_PREPARED}, y for glTF files")
    options.add_part(parser)
    options.add_status(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate, print the tables and write the results; with --status, only print how many shapes are done."""
    from lagem.commands import checks

    checks.check_data(args.data, "prepared", "meshes")
    if args.weights != RETRIEVAL:
        checks.check_autoencoder(args.weights)
    checks.check_output(args.output)
    from lagem.evaluation.reconstruction.run import evaluate
    from lagem.evaluation.reconstruction.status import evaluation_status

    weights = None if args.weights == RETRIEVAL else args.weights
    if args.status:
        status = evaluation_status(
            weights,
            args.data,
            args.output,
            split=args.split,
            num_surface_points=args.surface_points,
            posterior=args.posterior,
            points=args.points,
            resolution=args.resolution,
            seed=args.seed,
            preset=args.preset,
            outer=args.outer,
            categories=args.category,
        )
        print(status)
        return
    evaluate(
        weights,
        args.data,
        args.output,
        split=args.split,
        num_surface_points=args.surface_points,
        posterior=args.posterior,
        points=args.points,
        resolution=args.resolution,
        device=args.device,
        seed=args.seed,
        up=args.up,
        part=args.part,
        preset=args.preset,
        outer=args.outer,
        categories=args.category,
    )
