"""`lagem evaluate`: every measure of an autoencoder, or of the retrieval baseline, on prepared shapes or raw meshes."""

import argparse
from pathlib import Path

from lagem.pretrained import autoencoder_file

SUMMARY = "score an autoencoder on prepared shapes or on meshes: by shape, by category and on average"
RETRIEVAL = "retrieval"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "weights",
        metavar="CKPT",
        help="checkpoint of `lagem fit`, a safetensors file, one of ours (autoencoder, large), or `retrieval`, the "
        "baseline that returns the nearest training shape",
    )
    add("data", type=Path, metavar="DATA", help="folder of `lagem prepare`, or meshes: a file, a folder, a manifest")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for scores.csv, card.json, card.md, examples.png",
    )
    add("--split", default="val", metavar="NAME", help="split of a prepared folder (default: val)")
    add("--surface-points", type=int, metavar="N", help="points given to the encoder (default: as in training)")
    add("--points", type=int, default=100_000, metavar="N", help="points on each surface (default: %(default)s)")
    add("--resolution", type=int, default=128, metavar="R", help="cells along a side of the grid (default: 128)")
    add("--device", default="cpu", metavar="NAME", help="torch device; auto: a GPU if there is one (default: cpu)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samplings (default: 0)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the picture (default: z)")
    add(
        "--part",
        metavar="I/N",
        help="score every N-th shape only; parts can run in parallel, and the command without --part then writes the "
        "card",
    )
    add(
        "--status",
        action="store_true",
        help="only print how many shapes have a score with these settings, were refused, and are missing",
    )


def run(args: argparse.Namespace) -> None:
    """Evaluate and write the card, or print the status."""
    from lagem.evaluation.reconstruction.run import evaluate
    from lagem.evaluation.reconstruction.status import evaluation_status
    from lagem.storage.parts import Part

    weights = None if args.weights == RETRIEVAL else autoencoder_file(args.weights)
    if args.status:
        status = evaluation_status(
            weights,
            args.data,
            args.output,
            split=args.split,
            num_surface_points=args.surface_points,
            points=args.points,
            resolution=args.resolution,
            seed=args.seed,
        )
        print(status)
        return
    evaluate(
        weights,
        args.data,
        args.output,
        split=args.split,
        num_surface_points=args.surface_points,
        points=args.points,
        resolution=args.resolution,
        device=args.device,
        seed=args.seed,
        up=args.up,
        part=Part.of(args.part) if args.part else None,
    )
