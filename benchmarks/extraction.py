"""Coarse-to-fine and dense extraction of reconstructed meshes: queries, CPU seconds, differences, memory, the bound.

    python benchmarks/extraction.py MESH... [--weights large] [--resolutions 128 256] [--dense-up-to 256] [--json FILE]

Each mesh is extracted at each resolution in both ways, one after the other, in one process with one thread. Dense grids
above `--dense-up-to` are skipped. `differing` counts the vertices that only one of the two meshes has.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lagem.geometry.mesh import Mesh
from lagem.geometry.surface import QueryLogits, Surface, extract_surface
from lagem.randomness import sample_generator
from lagem.reconstruction.codec import load_codec
from lagem.sources.unit_shape import load_shape


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path, nargs="+")
    parser.add_argument("--weights", default="large", help="name of shipped weights (default: large)")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--dense-up-to", type=int, default=128)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    codec = load_codec(args.weights)
    rows = []
    for path in args.meshes:
        shape = load_shape(path)
        drawn = shape.draw(codec.spec.num_surface_points, sample_generator(0, 0, shape.name))
        surface_points = torch.from_numpy(drawn)
        field = codec.field_of(codec.latents_of(surface_points))
        for resolution in args.resolutions:
            rows.append(
                {"mesh": path.stem, "nodes": resolution + 1}
                | measured(field, surface_points, resolution, dense=resolution <= args.dense_up_to)
            )
    table = Table(*rows[0], title=f"{args.weights}, CPU seconds of one thread")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=200).print(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def measured(field: QueryLogits, seeds: torch.Tensor, resolution: int, *, dense: bool) -> dict[str, object]:
    """Figures of one coarse-to-fine extraction and, if `dense`, of the dense one."""
    sparse, seconds, in_field = timed(field, resolution=resolution, seeds=seeds)
    row: dict[str, object] = {
        "queries": sparse.queries,
        "of all": round(sparse.queries / (resolution + 1) ** 3, 4),
        "seconds": round(seconds, 2),
        "of these in queries": round(in_field, 2),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "audit": str(sparse.audit),
        "dense seconds": "",
        "ratio": "",
        "differing": "",
    }
    if dense:
        whole, dense_seconds, _ = timed(field, resolution=resolution, method="dense")
        row |= {
            "dense seconds": round(dense_seconds, 2),
            "ratio": round(dense_seconds / seconds, 1),
            "differing": differing(sparse, whole),
        }
    return row


def timed(field: QueryLogits, **settings: object) -> tuple[Surface, float, float]:
    """A surface, the CPU seconds that it took, and how many of these were spent in the field."""
    inside = 0.0

    def counted(points: torch.Tensor) -> torch.Tensor:
        nonlocal inside
        start = time.process_time()
        logits = field(points)
        inside += time.process_time() - start
        return logits

    start = time.process_time()
    surface = extract_surface(counted, **settings)  # type: ignore[arg-type]
    return surface, time.process_time() - start, inside


def differing(one: Mesh, other: Mesh) -> int:
    """Number of vertices, rounded to five digits, that only one of two meshes has."""
    sets = [{vertex.tobytes() for vertex in np.round(mesh.vertices, 5) + 0.0} for mesh in (one, other)]
    return len(sets[0] ^ sets[1])


if __name__ == "__main__":
    main()
