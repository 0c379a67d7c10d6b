"""Measures how far the watertight conversion moves the surfaces of all meshes of a manifest.

    make benchmark NAME=watertight ARGS="--data path/to/manifest.csv --workers 2"

Each mesh is first scaled into the unit sphere (radius 1). Distances are measured in both directions: from points on
the exposed surface of the input to the result, and from points on the result to the input. For each direction, 10,000
points per mesh are drawn; those on the input count only where they are exposed. The conversion is meant for open
meshes, which enclose no solid. As a control, closed meshes are also converted, although they do not need it. For the
column `99th percentile`, the distances of all meshes are pooled.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lagem.geometry.distance import DistanceTo
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.sampling import sample_surface
from lagem.geometry.watertight import make_watertight
from lagem.preparation.settings import Settings
from lagem.preparation.solid import CHECKED_POINTS, Solid, own_solid, surface_error
from lagem.sources.child import Failure
from lagem.sources.processes import run_in_processes

Errors = tuple[str, np.ndarray, np.ndarray]


def measure(path: Path) -> Errors | None:
    """Convert one mesh, and return its kind, as the table names it, and the distances in both directions.

    The result is None if the mesh cannot be loaded.
    """
    rng = np.random.default_rng(0)
    try:
        source = load_mesh(path)
    except MeshError:
        return None
    kind = "closed, converted anyway" if isinstance(own_solid(source, rng), Solid) else "open"
    unit = source.in_frame(Frame.of(source.vertices))
    settings = Settings()
    result = make_watertight(unit, resolution=settings.resolution, thickness=settings.thickness).mesh
    back = DistanceTo(unit)(sample_surface(result, CHECKED_POINTS, rng)[0])
    return kind, surface_error(unit, result, rng), back


def main() -> None:
    """Convert and measure all meshes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="manifest of meshes")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    args = parser.parse_args()
    with args.data.open(newline="", encoding="utf-8") as file:
        paths = [args.data.parent / row["file"] for row in csv.DictReader(file)]
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for path, result in track(run_in_processes(measure, paths, workers=args.workers), "measuring", total=len(paths)):
        if result is None or isinstance(result, Failure):
            print(f"{path.stem}: {result or 'cannot be loaded'}")
            continue
        found.setdefault(result[0], []).append(result[1:])
    columns = ["mean", "99th percentile", "largest mesh mean", "meshes with mean ≤ 0.002", "with 99th perc. ≤ 0.01"]
    table = Table("meshes", "number", "direction", *columns)
    for kind, errors in sorted(found.items()):
        for way, name in enumerate(("exposed input → result", "result → input")):
            each = [error[way] for error in errors]
            means, tails = ([float(measured(error)) for error in each] for measured in (np.mean, p99))
            shares = [f"{np.mean(np.array(means) <= 0.002):.1%}", f"{np.mean(np.array(tails) <= 0.01):.1%}"]
            pooled = [f"{np.mean(means):.5f}", f"{p99(np.concatenate(each)):.4f}", f"{max(means):.4f}"]
            table.add_row(kind, str(len(each)), name, *pooled, *shares)
    Console(width=160).print(table)


def p99(values: np.ndarray) -> float:
    """Return the 99th percentile."""
    return float(np.quantile(values, 0.99))


if __name__ == "__main__":
    import watertight  # the child processes import `measure` from the module of this name

    watertight.main()
