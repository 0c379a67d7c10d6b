"""`lagem reconstruct`: meshes or point clouds through a trained autoencoder and back."""

import argparse
from pathlib import Path

from lagem.pretrained import autoencoder_file

SUMMARY = "reconstruct meshes or point clouds with a trained autoencoder, in their own coordinates"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    add("meshes", type=Path, nargs="+", metavar="MESH", help="mesh files, or point clouds (ply, xyz, npy)")
    add(
        "--weights",
        type=autoencoder_file,
        metavar="CKPT",
        help="checkpoint of `lagem fit`, a safetensors file, or ours: autoencoder (the default), or large, from a GPU "
        "and better",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="folder for meshes, scores.csv and picture.png")
    add("--resolution", type=int, default=128, metavar="R", help="cells along a side of the grid (default: 128)")
    add(
        "--method",
        choices=["coarse_to_fine", "dense"],
        default="coarse_to_fine",
        help="how the grid is asked (default: %(default)s)",
    )
    add("--surface-points", type=int, metavar="N", help="points given to the encoder (default: as in training)")
    add("--format", choices=["ply", "glb", "obj", "stl"], default="ply", help="file format (default: ply)")
    add("--device", default="cpu", metavar="NAME", help="torch device; auto: a GPU if there is one (default: cpu)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the samplings (default: 0)")
    add("--up", choices=["y", "z"], default="z", help="axis that points up in the picture (default: z)")


def run(args: argparse.Namespace) -> None:
    """Reconstruct the files; exit code 1 where none could be."""
    from lagem.reconstruction.codec import load_codec
    from lagem.reconstruction.files import reconstruct_files
    from lagem.reconstruction.report import Report

    codec = load_codec(args.weights or "autoencoder", device=args.device)
    report = Report(total=len(args.meshes), up=args.up)
    results = reconstruct_files(
        codec,
        args.meshes,
        args.output,
        num_surface_points=args.surface_points,
        resolution=args.resolution,
        method=args.method,
        format=args.format,
        seed=args.seed,
    )
    for path, result in results:
        report.add(path, result)
    report.write(args.output)
    if not report.scores:
        raise SystemExit(1)
