"""Compares the CPU time and the surface error of our preparation of meshes with those of the authors' pipeline.

    pip install point-cloud-utils
    make benchmark NAME=preparation ARGS="--data path/to/manifest.csv"

Both pipelines prepare the same meshes, in turn. The authors' pipeline (LaGeM appendix A) uses point-cloud-utils: it
makes every mesh watertight by Manifold at resolution 50,000, samples surface points, and computes the signed distances
of 250,000 volume points and 250,000 near points. Ours is `prepare_shape` with the same numbers of points. The meshes
are drawn with a fixed seed. Half of them are closed, and our pipeline keeps their own surface; half are open, and it
makes them watertight. Errors are distances from the exposed surface of the input to the result, and from all of the
result to the input. As a control, the closed meshes are also made watertight, although they do not need it.
"""

import argparse
import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import point_cloud_utils as pcu
from interleaved import cpu_seconds
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lagem.geometry.distance import DistanceTo
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.geometry.watertight import make_watertight
from lagem.preparation.queries import draw_in_ball
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.preparation.solid import MANIFOLD_RESOLUTION, Solid, own_solid, solid_of, surface_error

PAPER = Settings()
POINTS = 10_000  # number of points that measure the distance from a result to its input


@dataclass
class Side:
    """CPU times and errors of one pipeline, with one entry for each mesh.

    seconds: CPU seconds.
    there: Distances from points on the exposed surface of the input to the result.
    back: Distances from points on the result to the input.
    """

    seconds: list[float] = field(default_factory=list)
    there: list[np.ndarray] = field(default_factory=list)
    back: list[np.ndarray] = field(default_factory=list)

    def measure(self, source: Mesh, result: Mesh) -> None:
        """Measure the distances between a source mesh and its result, and append them to `there` and `back`."""
        rng = np.random.default_rng(0)
        self.there.append(surface_error(source, result, rng))
        self.back.append(DistanceTo(source)(sample_surface(result, POINTS, rng)[0]))

    def row(self, against: "Side | None" = None) -> list[str]:
        """Return the cells of this pipeline's row: CPU times, ratios to the CPU times of `against`, and errors.

        The ratios are computed mesh by mesh; without `against`, their cell is a dash.
        """
        words = ["–", "–"]
        if self.seconds:
            words[0] = f"{np.median(self.seconds):.1f}, {np.mean(self.seconds):.1f}"
        if against is not None:
            ratio = np.array(self.seconds) / np.array(against.seconds)
            low, high = np.quantile(ratio, [0.25, 0.75])
            words[1] = f"{np.median(ratio):.3f} ({low:.3f} to {high:.3f})"
        for errors in (self.there, self.back):
            every = np.concatenate(errors)
            words.append(f"{np.mean([error.mean() for error in errors]):.5f} / {np.quantile(every, 0.99):.4f}")
        return words


def authors(unit: Mesh, random: np.random.Generator) -> Mesh:
    """Prepare a mesh by the pipeline of LaGeM's authors, without writing the file; return the watertight mesh."""
    vertices, faces = pcu.make_mesh_watertight(unit.vertices, unit.faces.astype(np.int32), MANIFOLD_RESOLUTION)
    index, weights = pcu.sample_mesh_random(vertices, faces, PAPER.surface)
    surface = pcu.interpolate_barycentric_coords(faces, index, weights, vertices)
    near = [surface[: PAPER.near] + sigma * random.standard_normal((PAPER.near, 3)) for sigma in PAPER.near_sigmas]
    queries = np.concatenate([draw_in_ball(PAPER.volume, random), *near])
    pcu.signed_distance_to_mesh(queries, vertices, faces)
    return Mesh(vertices, faces)


def choose(manifest: Path, each: int, seed: int) -> dict[str, list[Path]]:
    """Draw `each` closed meshes and as many open ones from a manifest; return their paths, by kind."""
    with manifest.open(newline="", encoding="utf-8") as file:
        paths = [manifest.parent / row["file"] for row in csv.DictReader(file)]
    chosen: dict[str, list[Path]] = {"closed": [], "open": []}
    for number in np.random.default_rng(seed).permutation(len(paths)):
        try:
            source = load_mesh(paths[number])
        except MeshError:
            continue
        kind = "closed" if isinstance(own_solid(source, np.random.default_rng(0)), Solid) else "open"
        if len(chosen[kind]) < each:
            chosen[kind].append(paths[number])
        if min(map(len, chosen.values())) == each:
            break
    return chosen


def main() -> None:
    """Measure both pipelines, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="CSV", help="manifest of meshes")
    parser.add_argument(
        "--each", type=int, default=12, metavar="N", help="meshes to draw of each kind (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draw (default: %(default)s)")
    args = parser.parse_args()
    chosen = choose(args.data, args.each, args.seed)
    table = Table(
        "meshes",
        "pipeline",
        "CPU s: median, mean",
        "ours / authors': median (quartiles)",
        "input → result: mean / p99",
        "result → input: mean / p99",
    )
    for kind, paths in chosen.items():
        theirs, ours, control = Side(), Side(), Side()
        for number, path in enumerate(track(paths, f"{kind} meshes", transient=True)):
            source = load_mesh(path)
            unit = source.in_frame(Frame.of(source.vertices))
            made: list[Mesh] = []
            random = np.random.default_rng(0)
            work = [
                (theirs, lambda: made.append(authors(unit, random))),  # noqa: B023
                (ours, lambda: prepare_shape(path, path.stem, kind, "train", PAPER)),  # noqa: B023
            ]
            for side, pipeline in work[:: 1 if number % 2 else -1]:  # the two sides take turns in going first
                side.seconds.append(cpu_seconds(pipeline))
            theirs.measure(unit, made[0])
            solid = solid_of(
                source, conversion="flood", resolution=PAPER.resolution, thickness=PAPER.thickness, rng=random
            )
            ours.measure(source.in_frame(solid.frame), solid.mesh)
            control.measure(unit, make_watertight(unit, resolution=PAPER.resolution, thickness=PAPER.thickness).mesh)
        table.add_row(kind, "authors'", *theirs.row())
        table.add_row(kind, "ours", *ours.row(theirs))
        if kind == "closed":
            table.add_row(kind, "ours, converted anyway", *control.row())
        print(f"{kind}: {', '.join(path.stem for path in paths)}")
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
