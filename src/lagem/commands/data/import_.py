"""`lagem import`: convert data of others to a prepared folder, or to meshes and a manifest for `lagem prepare`."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "import data that others prepared, after testing its labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    from lagem.importing.settings import ImportSettings

    add = parser.add_argument
    add(
        "layout",
        metavar="LAYOUT",
        help="vecset (the ShapeNet release of 3DILG and 3DShape2VecSet), lagem (the authors' npz and csv), hy3d "
        "(the watertight meshes of HY3D-Bench), sweethome3d (furniture), or a .yaml file that names the arrays of "
        "other npz files; hy3d and sweethome3d write meshes and a manifest for `lagem prepare`, and the others write "
        "prepared data",
    )
    add(
        "source",
        type=Path,
        metavar="SOURCE",
        help="folder of the data; or a manifest (.csv), with a .yaml layout; or a tar file, with hy3d; or a "
        "catalogue (.sh3f), with sweethome3d",
    )
    counts = {
        "surface": "maximum number of surface points per shape",
        "volume": "maximum number of volume queries per shape, uniform in the ball of radius sqrt(3)",
        "near": "maximum number of near queries per shape",
        "inside": "if fewer volume queries than this are inside, more inside queries are imported, up to this number",
    }
    options.add_prepared_folder(parser, ImportSettings(), counts)


def run(args: argparse.Namespace) -> None:
    """Import the data and print the report."""
    from lagem.importing.furniture import import_furniture
    from lagem.importing.hy3d import import_hy3d
    from lagem.importing.report import show
    from lagem.importing.run import import_data
    from lagem.importing.settings import ImportSettings

    meshes = {"sweethome3d": import_furniture, "hy3d": import_hy3d}
    if args.layout in meshes:
        print(meshes[args.layout](args.source, args.output, args.workers))
        return
    settings = ImportSettings(
        surface=args.surface,
        volume=args.volume,
        near=args.near,
        inside=args.inside,
        seed=args.seed,
        val_share=args.val_share,
        shapes_per_shard=args.shapes_per_shard,
    )
    records = import_data(
        args.layout,
        args.source,
        args.output,
        settings,
        args.workers,
        retry_refused=args.retry_refused,
        part=args.part,
        verify=args.verify,
    )
    show(records, args.output, args.part)
