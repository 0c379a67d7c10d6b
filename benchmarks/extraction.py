"""Compares coarse-to-fine and dense extraction of reconstructed shapes: queries, time, memory and differences.

    make benchmark NAME=extraction                              # a procedural chair
    make benchmark NAME=extraction ARGS="MANIFEST.csv --split val --weights large --dense-up-to 128"
    make benchmark NAME=extraction ARGS="MESH --resolutions 512 1024 --dense-up-to 0"

Seconds are CPU seconds of one thread; on a GPU, they are the time from the first to the last kernel. `plain dense` is
the time that queries at all nodes of the grid would take if every query went through all layers of the query decoder.
It is estimated from three calls of 65,536 queries each: one before the extraction and two after it. All extractions use
faster queries: the decoder's weights are multiplied in advance with the keys and values of the decoded latents. At
resolutions up to `--dense-up-to`, the surface is also extracted from a dense grid, and the two meshes are compared.
`differing` counts the vertices that only one of the two meshes has; it is 0 if and only if all nodes of the grid have
the same sign in both extractions. `lost` counts the components of the dense mesh that share no vertex with the
coarse-to-fine mesh. `unavoidable` is the number of nodes next to the surface, divided by the number of coarse-to-fine
queries. On a GPU, peak memory is that of the extraction. On a CPU, it is that of the process so far, so give only one
mesh and one resolution to measure it.
"""

import argparse
import resource
from pathlib import Path

import numpy as np
import torch
from interleaved import Clock, clock_of, quartiles, write_rows
from rich.console import Console
from rich.progress import track
from rich.table import Table
from shapes import add_shape_arguments, surfaces

from lagem.geometry.boundary import parts_of
from lagem.geometry.extraction.levels import OCTANTS
from lagem.geometry.mesh import Mesh
from lagem.geometry.surface import QueryLogits, Surface, extract_surface
from lagem.pretrained import AUTOENCODERS
from lagem.reconstruction.codec import ShapeCodec, load_codec

CHUNK = 65536  # queries per call, as in `extract_surface`
Fields = dict[str, QueryLogits]


def fields_of(codec: ShapeCodec, points: torch.Tensor) -> Fields:
    """Return two ways to compute the field of a shape: `folded`, with folded weights, and `plain`, layer by layer."""
    latents = [z.unsqueeze(0) for z in codec.latents_of(points)]
    return {side: codec.autoencoder.decode(latents, fold=side == "folded").select(0) for side in ("folded", "plain")}


@torch.no_grad()
def measured(fields: Fields, seeds: torch.Tensor, resolution: int, device: torch.device, *, dense: bool) -> dict:
    """Return one row of results for a coarse-to-fine extraction and, if `dense`, for a dense one."""
    clock, nodes, settings = clock_of(device), (resolution + 1) ** 3, {"resolution": resolution, "device": device}
    asked = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (min(CHUNK, nodes), 3)).astype(np.float32))
    asked = asked.to(device)
    fields["plain"](asked[:1])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    calls = [clock(lambda: fields["plain"](asked))]
    sparse, seconds, in_field = timed(fields["folded"], clock, seeds=seeds, **settings)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    calls += [clock(lambda: fields["plain"](asked)) for _ in range(2)]
    plain_dense = quartiles(calls)[1] * nodes / len(asked)
    row: dict[str, object] = {
        "nodes": resolution + 1,
        "queries": sparse.queries,
        "of_all": sparse.queries / nodes,
        "seconds": seconds,
        "in_queries": in_field,
        "plain_dense": plain_dense,
        "ratio": plain_dense / seconds,
        "peak_mib": (peak // 1024 or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) // 1024,
        "audit": f"< {audit.missed} of {audit.skipped}, found {audit.found}" if (audit := sparse.audit) else "",
    }
    if dense:
        logits: list[np.ndarray] = []
        whole, dense_seconds, _ = timed(fields["folded"], clock, kept=logits, method="dense", **settings)
        volume = np.concatenate(logits).reshape((resolution + 1,) * 3)
        row |= {
            "dense": dense_seconds,
            "unavoidable": next_to_the_surface(volume) / sparse.queries,
            "differing": len(vertices_of(sparse) ^ vertices_of(whole)),
            "lost": lost_parts(sparse, whole),
        }
    return row


def timed(
    field: QueryLogits, clock: Clock, *, kept: list[np.ndarray] | None = None, **settings: object
) -> tuple[Surface, float, float]:
    """Extract a surface and time it; if `kept` is given, append the logits of all queries to it.

    Returns:
        The surface, the seconds of the extraction, and how many of these seconds the queries to the field took.
    """
    inside, surfaces = 0.0, []

    def counted(points: torch.Tensor) -> torch.Tensor:
        nonlocal inside
        logits = []
        inside += clock(lambda: logits.append(field(points)))
        if kept is not None:
            kept.append(logits[0].cpu().numpy())
        return logits[0]

    seconds = clock(lambda: surfaces.append(extract_surface(counted, **settings)))  # type: ignore[arg-type]
    return surfaces[0], seconds, inside


def next_to_the_surface(volume: np.ndarray) -> int:
    """Return the number of nodes that are corners of a cell which the surface crosses."""
    corners = of_cells(volume > 0)
    crossed = np.logical_or.reduce(corners) ^ np.logical_and.reduce(corners)
    touched = np.zeros(volume.shape, dtype=np.bool_)
    for part in of_cells(touched):
        part |= crossed
    return int(touched.sum())


def of_cells(nodes: np.ndarray) -> list[np.ndarray]:
    """Return eight (R, R, R) views of (R + 1, R + 1, R + 1) nodes; each view holds one corner of every cell."""
    side = len(nodes) - 1
    return [nodes[x : x + side, y : y + side, z : z + side] for x, y, z in OCTANTS]


def vertices_of(mesh: Mesh) -> set[bytes]:
    """Return the vertices of a mesh, with coordinates rounded to five decimals."""
    return {vertex.tobytes() for vertex in np.round(mesh.vertices, 5) + 0.0}


def lost_parts(sparse: Mesh, whole: Mesh) -> int:
    """Return the number of connected components of the mesh `whole` that share no vertex with the mesh `sparse`."""
    known = vertices_of(sparse)
    found = np.array([vertex.tobytes() in known for vertex in np.round(whole.vertices, 5) + 0.0])
    parts = parts_of(whole)
    return int((np.bincount(parts, weights=found[whole.faces].any(axis=1)) == 0).sum())


def show(rows: list[dict], title: str) -> None:
    """Print the rows as a table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*(name.replace("_", " ") for name in columns), title=title)
    for row in rows:
        cells = [row.get(name, "") for name in columns]
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))
    Console(width=200).print(table)


def main() -> None:
    """Measure, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shape_arguments(parser)
    parser.add_argument("--weights", choices=AUTOENCODERS, default="large", help="default: large")
    parser.add_argument(
        "--resolutions", type=int, nargs="+", default=[128, 256], help="cells along a side (default: 128 256)"
    )
    parser.add_argument("--dense-up-to", type=int, default=128, help="cells along a side of the largest dense grid")
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="a small grid, to check that it runs")
    parser.add_argument("--output", type=Path, default=Path("runs/extraction.json"), help="default: %(default)s")
    args = parser.parse_args()
    if args.quick:
        args.weights, args.resolutions = "autoencoder", [64]
    torch.set_num_threads(1)
    codec = load_codec(args.weights, device=args.device)
    rows = []
    for name, seeds in track(list(surfaces(args, codec.spec.num_surface_points)), "measuring", transient=True):
        fields = fields_of(codec, seeds)
        for resolution in args.resolutions:
            figures = measured(fields, seeds, resolution, codec.device, dense=resolution <= args.dense_up_to)
            rows.append({"shape": name} | figures)
    show(rows, f"{args.weights} on {args.device}")
    write_rows(args.output, rows)


if __name__ == "__main__":
    main()
