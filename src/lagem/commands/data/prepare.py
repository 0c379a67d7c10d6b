"""`lagem prepare`: sample and label meshes, and pack the results into a folder of shards for training."""

import argparse

from lagem.commands import options

SUMMARY = "sample and label meshes, and pack them into shards for training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    from lagem.preparation.pipeline import MEMORY_LIMIT, TIME_LIMIT
    from lagem.preparation.settings import Settings
    from lagem.preparation.solid import CONVERSIONS

    paper = Settings()
    add = parser.add_argument
    add("meshes", nargs="+", metavar="MESHES", help="mesh files, folders (searched recursively) or manifests (.csv)")
    counts = {
        "surface": "surface points per shape",
        "volume": "volume queries per shape",
        "near": "near queries per shape, for each sigma of their jitter",
        "inside": "minimum number of volume queries inside",
    }
    options.add_prepared_folder(parser, paper, counts)
    add(
        "--watertight",
        choices=CONVERSIONS,
        default=paper.watertight,
        help="how to close open meshes: flood is our method, manifold is the authors', and none refuses open meshes "
        "(default: %(default)s)",
    )
    add(
        "--resolution",
        type=int,
        default=paper.resolution,
        metavar="R",
        help="cells along a side of the grid of --watertight flood (default: %(default)s)",
    )
    add(
        "--thickness",
        type=float,
        default=paper.thickness,
        metavar="T",
        help="thickness that open sheets get, relative to the radius of the unit sphere (default: %(default)s)",
    )
    add(
        "--category",
        metavar="NAME",
        help="category of all meshes (default: from the manifest, or the name of the folder that holds the file)",
    )
    add(
        "--time-limit",
        type=float,
        default=TIME_LIMIT,
        metavar="S",
        help="maximum time for one mesh in seconds, after which it is refused (default: %(default)g)",
    )
    add(
        "--memory-limit",
        type=float,
        default=MEMORY_LIMIT,
        metavar="GIB",
        help="maximum memory for one mesh in GiB, in addition to 40 bytes for each byte of its file; a mesh that needs "
        "more is refused (default: %(default)g)",
    )
    add(
        "--up",
        choices=["y", "z"],
        help="axis that points up in files that do not state it; glTF files, which are y-up, are turned so that the "
        "same axis points up (default: no file is turned)",
    )
    options.add_status(parser)


def run(args: argparse.Namespace) -> None:
    """Prepare the meshes and print a report; with --status, only print how many meshes are done."""
    from lagem.preparation.pipeline import preparation_status, prepare
    from lagem.preparation.report import show
    from lagem.preparation.settings import Settings

    if args.status:
        print(preparation_status(args.meshes, args.output))
        return
    settings = Settings(
        surface=args.surface,
        volume=args.volume,
        near=args.near,
        inside=args.inside,
        watertight=args.watertight,
        resolution=args.resolution,
        thickness=args.thickness,
        seed=args.seed,
        shapes_per_shard=args.shapes_per_shard,
        val_share=args.val_share,
        up=args.up,
    )
    records = prepare(
        args.meshes,
        args.output,
        settings,
        args.workers,
        category=args.category,
        retry_refused=args.retry_refused,
        time_limit=args.time_limit,
        memory_limit=args.memory_limit,
        part=args.part,
        verify=args.verify,
    )
    show(records, args.output, args.part)
