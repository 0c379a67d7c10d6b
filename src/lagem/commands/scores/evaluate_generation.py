"""`lagem evaluate-generation`: compare generated shapes with real ones."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "compare generated shapes with real ones: MMD, COV, 1-NNA, diversity, novelty, recognised categories"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "generated",
        type=Path,
        metavar="GENERATED",
        help="folder of `lagem generate`, or a folder that contains several such folders, such as one per category",
    )
    add(
        "references",
        metavar="REFERENCES",
        help="real shapes: a folder of `lagem prepare`, meshes (a file, a folder or a manifest; each mesh is scaled "
        "into the unit sphere), or `procedural:TRAIN+VAL` as for `lagem encode`",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for generation.csv, generation.json and generation.md",
    )
    add("--split", default="val", metavar="NAME", help="split of the references; raw meshes have none (default: val)")
    add(
        "--train",
        metavar="DATA",
        help="training set of the cascade: the split `train` of a prepared folder or of `procedural:TRAIN+VAL`; adds "
        "the novelty, which is how far generated shapes are from the training set (default: no novelty)",
    )
    add(
        "--preset",
        choices=["lion", "octfusion"],
        help="compare as the script of LION or OctFusion does: in the script's frame, by its EMD, and with all "
        "references, instead of a random selection; in each category, the first samples that have a surface are used, "
        "as many as there are references (default: as generation.md describes)",
    )
    options.add_points(parser, 2048)
    add(
        "--emd-points",
        type=int,
        default=0,
        metavar="N",
        help="also measure the exact earth mover's distance with N points per shape; a pair of shapes takes about "
        "0.04 s with 512 points, 0.3 s with 1024 and 2 s with 2048 (as published), and two sets of n shapes have about "
        "2 n² pairs (default: 0, not measured)",
    )
    add("--workers", type=int, default=1, metavar="N", help="number of threads (default: 1)")
    options.add_seed(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate, print the tables and write the card."""
    from lagem.commands import checks

    checks.check_there([args.generated], "give a folder that `lagem generate` wrote")
    checks.check_data(args.references, "prepared", "procedural", "meshes")
    checks.check_output(args.output)
    from lagem.evaluation.generation.run import evaluate_generation
    from lagem.sources.data import resolve_data

    evaluate_generation(
        args.generated,
        resolve_data(args.references, seed=args.seed),
        args.output,
        split=args.split,
        training=resolve_data(args.train, seed=args.seed) if args.train else None,
        points=args.points,
        emd_points=args.emd_points,
        workers=args.workers,
        seed=args.seed,
        preset=args.preset,
        references_name=args.references,
        training_name=args.train or "not given",
    )
