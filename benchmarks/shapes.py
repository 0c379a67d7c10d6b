"""The shapes that a benchmark reconstructs: a procedural chair, or shapes from meshes, folders and manifests."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lagem.procedural.furniture import CATEGORIES
from lagem.randomness import sample_generator
from lagem.sources.mesh_files import find_meshes
from lagem.sources.unit_shape import load_shape


def add_shape_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `surfaces` reads."""
    parser.add_argument("shapes", nargs="*", help="meshes, folders or manifests (default: a procedural chair)")
    parser.add_argument("--split", help="only the shapes of this split of a manifest (default: all)")
    parser.add_argument("--ids", nargs="+", help="only these shapes (default: all)")


def surfaces(args: argparse.Namespace, count: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and (count, 3) float32 surface points of each shape, in the unit sphere."""
    if not args.shapes:
        rng = np.random.default_rng(0)
        yield "chair", torch.from_numpy(CATEGORIES["chair"](rng).sample_surface(count, rng)[0])
        return
    for mesh in find_meshes(args.shapes, val_share=0.1):
        if args.split in (None, mesh.split) and (args.ids is None or mesh.id in args.ids):
            points = load_shape(Path(mesh.path)).draw(count, sample_generator(0, 0, mesh.id))
            yield mesh.id, torch.from_numpy(points).float()
