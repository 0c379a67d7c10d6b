"""Compares completions of partial clouds with retrieval, which returns the nearest training shape instead of a sample.

    make benchmark NAME=completion ARGS="runs/completion/cascade procedural:4096+436 --skip 376"

Each shape has a file in the folder of the output as soon as it is measured, so the command resumes if it was stopped.
With `--part 0/2` and `--part 1/2`, two processes measure half of the shapes each. Then the same command without
`--part` prints the table.

The shapes are those of the split val, without the first `--skip`. A procedural shape is the same however many are
asked for. So procedural:4096+436 has the same training shapes as the procedural:4096+256 of the stages, and 60 shapes
that neither the stages nor their autoencoder have seen, not even in their validations.

Each of these shapes is observed from a random direction, from which a third of its surface is seen. Completion and
retrieval get the same seen points, in a frame that says nothing about the whole shape, and both fit their shapes to
these points in the same way. The completion is the mean of the `--averaged` samples that fit best, out of
`--samples`. The retrieved shape is the one that fits best among `--candidates` training shapes, which a rough
comparison chooses from all. A second retrieval averages too: the exact occupancies of the `--averaged-shapes` best.

The measure is the Chamfer distance of the unseen part, in the unit sphere of the true shape. The predicted surface is
split in the same way: the third of its area that is best seen from the same direction counts as seen, the rest as
unseen. The measure is the sum of two mean distances: from the unseen points of the true shape to the predicted surface,
and from the unseen points of the predicted surface to the true one. Intervals are 95% bootstrap intervals over shapes;
the differences are paired by shape.

The reconstruction of the whole true shape, in its true place, shows the limit that the autoencoder sets: completions
are decoded by the same autoencoder, but from sampled latents, and have to be placed. With `--largest-component`, both
consist of their largest connected component only. Retrieved shapes are always whole.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison_runs import keep_settings
from completion_retrieval import MEASURED_POINTS, Retrieval
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy.spatial import cKDTree

from lagem.commands.options import add_part
from lagem.completion.completer import complete_shape
from lagem.embeddings.partial import SHARE, partial_cloud
from lagem.embeddings.visibility import seen_points
from lagem.evaluation.means import Mean, mean_of
from lagem.evaluation.tables import markdown_table, terminal_table
from lagem.generation.bundle import load_cascade
from lagem.generation.generator import CascadedGenerator
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.components import largest_part
from lagem.geometry.frame import Frame
from lagem.geometry.picture import contact_sheet, render_points
from lagem.geometry.sampling import sample_surface
from lagem.geometry.surface import EmptySurfaceError
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.randomness import sample_generator
from lagem.storage.atomic import replaced, write_json, write_text

Points = NDArray[np.floating]

SIDES = ("completion", "retrieval", "mean of retrieved shapes", "reconstruction")
PART_POINTS = 1_024  # number of seen points that completion and retrieval get
PICTURED = 8
COLOURS = 16  # number of colours in the picture; clouds in all colours would be a file of more than 1 MB


@dataclass(frozen=True)
class PartlySeen:
    """A shape, and the part of it that is seen from one direction.

    id: Id of the shape.
    points: (N, 3) points on its surface, in its unit sphere.
    seen: (N,) True for the points that were seen.
    direction: (3,) direction to the camera.
    """

    id: str
    points: Points
    seen: NDArray[np.bool_]
    direction: Points

    @cached_property
    def part(self) -> Points:
        """Points that were seen, in their own unit sphere."""
        return self.frame.to_unit(self.points[self.seen][:PART_POINTS])

    @cached_property
    def frame(self) -> Frame:
        """Maps the unit sphere of the whole shape to that of the part."""
        return Frame.of(self.points[self.seen][:PART_POINTS])

    def error(self, predicted: Points) -> float:
        """Return the Chamfer distance between the shape and a prediction, measured only from the unseen points of each.

        Args:
            predicted: (P, 3) points on the predicted surface, in the same coordinates as `part`.
        """
        predicted = self.frame.to_source(predicted)
        unseen = ~seen_points(predicted, self.direction, SHARE)
        missed, _ = cKDTree(predicted).query(self.points[~self.seen])
        wrong, _ = cKDTree(self.points).query(predicted[unseen])
        return float(missed.mean() + wrong.mean())


def main() -> None:
    """Complete and retrieve, print the table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="cascade that was trained on partial clouds")
    add("data", metavar="DATA", help="procedural:TRAIN+VAL; retrieval gets the split train, val is completed")
    add("--skip", type=int, default=0, metavar="N", help="validation shapes that training saw; left out (default: 0)")
    add("--output", type=Path, default=Path("runs/completion/scores"), metavar="DIR", help="default: %(default)s")
    add("--count", type=int, default=60, metavar="N", help="shapes to complete (default: 60)")
    add("--samples", type=int, default=128, metavar="N", help="samples per shape (default: 128)")
    add("--averaged", type=int, default=8, metavar="N", help="samples in the mean; 1 takes the best one (default: 8)")
    add("--candidates", type=int, default=128, metavar="N", help="training shapes that are fitted (default: 128)")
    add(
        "--averaged-shapes",
        type=int,
        default=5,
        metavar="N",
        help="training shapes in their mean, at most 8 (default: 5)",
    )
    add(
        "--guidance",
        type=float,
        nargs="+",
        default=[1, 1.5, 1.5],
        metavar="W",
        help="as in lagem generate (default: 1 1.5 1.5)",
    )
    add("--resolution", type=int, default=64, metavar="R", help="cells along a side of the grid (default: 64)")
    add("--largest-component", action="store_true", help="keep only the largest connected component of each mesh")
    add("--bfloat16", action="store_true", help="run the stages in bfloat16, for GPUs and CPUs with AMX")
    add("--seed", type=int, default=0, metavar="N", help="seed of all draws and of procedural shapes (default: 0)")
    add_part(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    surfaces = ProceduralSurfaces.of(args.data, seed=args.seed)
    all_unseen = [index for index, split in enumerate(surfaces.splits) if split == "val"][args.skip :]
    if len(all_unseen) < args.count:
        found = f"has {len(all_unseen)} validation shapes after the first {args.skip}, not {args.count}."
        parser.error(f"{args.data}: {found}")
    generator = load_cascade(args.bundle)
    settings = {name: value for name, value in vars(args).items() if name not in ("output", "part", "count")}
    settings["weights"] = digest_of(generator)
    try:
        keep_settings(args.output / "settings.json", settings)
    except ValueError as error:
        parser.error(str(error))
    unseen, pictured = all_unseen[: args.count], all_unseen[:PICTURED]
    files = {index: args.output / "shapes" / f"{surfaces.ids[index]}.json" for index in unseen}
    mine = unseen if args.part is None else args.part.items_of(unseen)
    if missing := [index for index in mine if not files[index].exists()]:
        retrieval = Retrieval(surfaces, candidates=args.candidates, seed=args.seed)
        for index in track(missing, "completing"):
            row = measured(generator, retrieval, partly_seen(surfaces, index, args.seed), args)
            if index not in pictured:
                del row["clouds"]
            files[index].parent.mkdir(parents=True, exist_ok=True)
            write_json(files[index], row)
    if args.part is not None:
        return
    rows = [json.loads(files[index].read_text()) for index in unseen]
    clouds = [row.pop("clouds") for row in rows[:PICTURED]]
    drawn = [[render_points(np.asarray(cloud), size=240) for cloud in of_shape] for of_shape in clouds]
    ids = [row["id"] for row in rows[:PICTURED]]
    sheet = contact_sheet(drawn, column_titles=["seen", "completion", "retrieval", "truth"], row_titles=ids)
    with replaced(args.output / "completion.png") as temporary:
        Image.fromarray(sheet).quantize(COLOURS).save(temporary, optimize=True)
    table = rows_of(rows, args.seed)
    write_text(args.output / "completion.md", "\n".join(markdown_table(table)) + "\n")
    write_json(args.output / "completion.json", {"settings": settings, "shapes": rows})
    Console(width=160).print(terminal_table(table))
    print(f"completion.md, completion.json and completion.png are in {args.output}")


def digest_of(generator: CascadedGenerator) -> str:
    """Return a digest of all weights of a cascade."""
    digest = hashlib.blake2b(generator.codec.fingerprint.encode(), digest_size=8)
    for denoiser in generator.denoisers:
        for name, tensor in sorted(denoiser.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def measured(
    generator: CascadedGenerator, retrieval: Retrieval, shape: PartlySeen, args: argparse.Namespace
) -> dict[str, Any]:
    """Return the errors of all sides for one shape, and the clouds of its row in the picture, in its own frame."""
    completed = completion_of(generator, shape, args)
    found = retrieval.nearest(shape.part)
    best, frame = next(iter(found.items()))
    name, retrieved = retrieval.surfaces.ids[best], retrieval.points_of(best, frame)
    mean = retrieval.mean_of(dict(list(found.items())[: args.averaged_shapes]))
    predictions = (completed, retrieved, mean, reconstruction_of(generator, shape, args))
    errors = dict(zip(SIDES, map(shape.error, predictions), strict=True))
    drawn = (shape.part, completed, retrieved, shape.frame.to_unit(shape.points))
    clouds = [shape.frame.to_source(cloud).round(4).tolist() for cloud in drawn]
    return {"id": shape.id, "retrieved": name, **errors, "clouds": clouds}


def partly_seen(surfaces: ProceduralSurfaces, index: int, seed: int) -> PartlySeen:
    """Observe a shape from a random direction, keyed by the seed and the id of the shape."""
    rng = sample_generator(seed, 0, f"{surfaces.ids[index]}/completion")
    points, seen, direction = partial_cloud(surfaces, index, round(MEASURED_POINTS * SHARE), rng)
    return PartlySeen(surfaces.ids[index], points, seen, direction)


def completion_of(generator: CascadedGenerator, shape: PartlySeen, args: argparse.Namespace) -> Points:
    """Return points on the completion, in the coordinates in which the part fills the unit sphere.

    If no sample has a surface, return the part itself.
    """
    found = complete_shape(
        generator,
        shape.part,
        count=1,
        samples=args.samples,
        averaged=args.averaged,
        seed=args.seed,
        batch_size=64,
        sampler=SamplerSettings(guidance=args.guidance, bfloat16=args.bfloat16),
        surface=SurfaceSettings(resolution=args.resolution, only_largest=args.largest_component),
    )
    if not found:
        return shape.part
    return sample_surface(found[0].mesh, MEASURED_POINTS, sample_generator(args.seed, 0, shape.id))[0]


def reconstruction_of(generator: CascadedGenerator, shape: PartlySeen, args: argparse.Namespace) -> Points:
    """Return points on the reconstruction of the whole shape, in the coordinates of `completion_of`.

    If the reconstruction has no surface, return the part itself.
    """
    latents = generator.codec.encode(shape.points, seed=args.seed)
    try:
        mesh = generator.codec.decode(latents, resolution=args.resolution)
    except EmptySurfaceError:
        return shape.part
    if args.largest_component:
        mesh = largest_part(mesh)
    points, _ = sample_surface(mesh, MEASURED_POINTS, sample_generator(args.seed, 0, f"{shape.id}/reconstruction"))
    return shape.frame.to_unit(points)


def rows_of(rows: Sequence[dict[str, Any]], seed: int) -> list[list[str]]:
    """Return the rows of the table, header first: the mean of each side, and the paired differences."""
    completion, retrieval, mean, reconstruction = (np.array([row[side] for row in rows]) for side in SIDES)
    better = int((completion < retrieval).sum())
    return [
        ["", f"Chamfer x100 of the unseen part, {len(rows)} shapes"],
        ["completion", shown(mean_of(completion, seed))],
        ["retrieval", shown(mean_of(retrieval, seed))],
        ["mean of retrieved shapes", shown(mean_of(mean, seed))],
        ["reconstruction of the true shape", shown(mean_of(reconstruction, seed))],
        ["completion - retrieval", shown(mean_of(completion - retrieval, seed))],
        ["completion - mean of retrieved shapes", shown(mean_of(completion - mean, seed))],
        ["reconstruction - retrieval", shown(mean_of(reconstruction - retrieval, seed))],
        ["completion is better than retrieval", f"{better} of {len(rows)}"],
    ]


def shown(mean: Mean) -> str:
    """Return a mean and its interval, times 100, as text."""
    return f"{100 * mean.value:.2f} [{100 * mean.low:.2f}, {100 * mean.high:.2f}]"


if __name__ == "__main__":
    main()
