"""`lagem complete`: complete shapes of which only a part was seen."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "complete partial point clouds or meshes, in the coordinates of their files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("parts", type=Path, nargs="+", metavar="FILE", help="point clouds (ply, xyz, npy) or meshes of what was seen")
    add(
        "--cascade",
        required=True,
        metavar="BUNDLE",
        help="folder of `lagem bundle` or hf://OWNER/NAME: a cascade that was trained on partial clouds",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for meshes, completions.csv and picture.png",
    )
    add("--count", type=int, default=4, metavar="N", help="completions of each file (default: %(default)s)")
    options.add_sampler(parser)
    options.add_resolution(parser)
    add("--largest-component", action="store_true", help="keep only the largest connected component of each mesh")
    add("--faces", type=int, metavar="N", help="maximum number of faces of a mesh (default: all)")
    options.add_format(parser)
    options.add_batch_size(parser, 16)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_up(
        parser,
        "axis that points up in files that do not say it (glTF is always y-up); pictures and glb files show "
        "shapes upright",
    )


def run(args: argparse.Namespace) -> None:
    """Complete the files."""
    from lagem.commands import checks

    checks.check_output(args.output)
    checks.check_cascade(args.cascade)
    if not any(path.exists() for path in args.parts):  # a single missing file is listed in completions.csv
        checks.check_there(args.parts, "give point clouds or meshes")
    from lagem.completion.run import complete
    from lagem.generation.settings import SurfaceSettings

    complete(
        args.cascade,
        args.parts,
        args.output,
        count=args.count,
        sampler=options.sampler_of(args),
        surface=SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component, faces=args.faces),
        format=args.format,
        batch_size=args.batch_size,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
