"""`lagem reconstruct`: encode meshes or point clouds with a trained autoencoder, and decode them to meshes."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "reconstruct meshes or point clouds with a trained autoencoder, in the coordinates of their files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("meshes", type=Path, nargs="+", metavar="MESH", help="mesh files, or point clouds (ply, xyz, npy)")
    options.add_weights(parser, "--weights", default="autoencoder")
    add("--output", type=Path, required=True, metavar="DIR", help="folder for meshes, scores.csv and picture.png")
    options.add_resolution(parser)
    add(
        "--method",
        choices=["coarse_to_fine", "dense"],
        default="coarse_to_fine",
        help="coarse_to_fine evaluates the grid only near the surface, dense everywhere (default: %(default)s)",
    )
    options.add_surface_points(parser)
    options.add_points(parser)
    options.add_format(parser)
    options.add_device(parser)
    options.add_seed(parser)
    options.add_up(parser, options.UP_OF_FILES)


def run(args: argparse.Namespace) -> None:
    """Reconstruct the shapes in the files, and write their meshes, scores and picture."""
    from lagem.commands import checks

    checks.check_output(args.output)
    checks.check_autoencoder(args.weights)
    checks.check_any_there(args.meshes, "give meshes or point clouds")
    from lagem.reconstruction.run import reconstruct

    reconstruct(
        args.weights,
        args.meshes,
        args.output,
        num_surface_points=args.surface_points,
        points=args.points,
        resolution=args.resolution,
        method=args.method,
        format=args.format,
        device=args.device,
        seed=args.seed,
        up=args.up,
    )
