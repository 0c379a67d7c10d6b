"""`lagem report`: write a page about a folder of results."""

import argparse
from pathlib import Path

from lagem.commands import options
from lagem.pretrained import AUTOENCODERS, CASCADES

SUMMARY = "write one HTML file about a training run, an evaluation, samples or a study, with shapes that can be turned"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="folder of a run of `lagem fit`, or of `evaluate`, `evaluate-generation`, `generate`, `levels` or `vary`",
    )
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page, replaced if it exists (default: report.html in the folder)",
    )
    weights = add(
        "--weights",
        metavar="CKPT",
        help="autoencoder whose reconstructions are shown (default: the autoencoder of the run or of the evaluation)",
    )
    options.complete_names(weights, *AUTOENCODERS, *CASCADES)
    add(
        "--data",
        metavar="DATA",
        help="shapes to reconstruct: a folder of `lagem prepare`, meshes, or, for a run, procedural:TRAIN+VAL "
        "(default: the shapes of the run or of the evaluation)",
    )
    options.add_resolution(parser, 64)
    options.add_device(parser)
    options.add_up_of_data(
        parser,
        "that of `lagem prepare --up`, also for a cascade and its samples",
        "axis that points up in shapes whose files do not state it",
    )


def run(args: argparse.Namespace) -> None:
    """Write the HTML page about the folder's results."""
    from lagem.commands import checks

    checks.check_there([args.folder], "give the folder of a run, an evaluation, samples or a study")
    from lagem.reports.reconstructions import ShapeSettings
    from lagem.reports.report import report
    from lagem.weights.named import autoencoder_file

    weights = autoencoder_file(args.weights) if args.weights is not None else None
    settings = ShapeSettings(
        weights=weights, data=args.data, resolution=args.resolution, device=args.device, up=args.up
    )
    report(args.folder, args.output, settings)
