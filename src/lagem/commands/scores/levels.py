"""`lagem levels`: what each level of an autoencoder carries."""

import argparse
from pathlib import Path

from lagem.pretrained import autoencoder_file

SUMMARY = "what does each level carry? each level replaced by noise, and the coarse levels alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "weights",
        type=autoencoder_file,
        metavar="CKPT",
        help="checkpoint of `lagem fit`, a safetensors file, or one of ours (autoencoder, large)",
    )
    add("data", type=Path, metavar="DATA", help="folder of `lagem prepare`")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for levels.md, levels.json and levels.png")
    add("--split", default="val", metavar="NAME", help="split of the folder (default: val)")
    add("--points", type=int, default=20_000, metavar="N", help="points on each surface (default: %(default)s)")
    add("--resolution", type=int, default=64, metavar="R", help="cells along a side of the grid (default: 64)")
    add("--device", default="cpu", metavar="NAME", help="torch device; auto: a GPU if there is one (default: cpu)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samplings and the noise (default: 0)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the picture (default: z)")


def run(args: argparse.Namespace) -> None:
    """Study the levels, print the tables, write the results."""
    from lagem.studies.levels import study_levels

    study_levels(
        args.weights,
        args.data,
        args.output,
        split=args.split,
        points=args.points,
        resolution=args.resolution,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
