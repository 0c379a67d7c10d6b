"""Run `lagem complete`: load a cascade, complete the shapes in files, and write meshes, a table and a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.completion.completer import Completion, check_completes, check_counts, complete_shape
from lagem.generation.bundle import load_cascade
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.frame import Frame, Up
from lagem.geometry.picture import contact_sheet, render_mesh, render_points, save_picture
from lagem.randomness import sample_generator
from lagem.signals import kept_on_stop
from lagem.sources.reading import read_surface
from lagem.sources.unit_shape import UnitShape, shape_of
from lagem.storage.atomic import check_folder, write_text
from lagem.storage.csv_table import csv_table
from lagem.storage.names import printable

TABLE = "completions.csv"
TITLES = ["name", "rank", "file", "sample", "seed", "distance", "reason"]
PICTURED, COLUMNS, POINTS = 12, 6, 20_000  # maximum numbers of files, of completions of a file, and of drawn points
PIXELS = 240  # width and height of the picture of a shape


def complete(
    bundle: str,
    paths: Sequence[Path],
    output: Path,
    *,
    count: int,
    samples: int,
    averaged: int,
    sampler: SamplerSettings,
    surface: SurfaceSettings,
    format: str,
    batch_size: int,
    device: str,
    seed: int,
    up: Up | None,
) -> None:
    """Complete the shapes in files, and write the meshes to `output/<name>_<rank>.<format>`.

    A mesh is in the coordinates of its file. Rank 1 is the mean of samples, if there is one. The samples follow, the
    one nearest to the seen points first. If a file cannot be completed, the others are still completed.

    Args:
        bundle: Name or folder of a cascade, as `load_cascade` takes it.
        paths: Meshes and point clouds.
        output: Folder of the results.
        count: Number of completions of each file: the mean, and the samples that fit best.
        samples: Number of samples of each file.
        averaged: Number of samples in the mean; 1 leaves the mean out.
        sampler: How latents are sampled.
        surface: How fields become meshes.
        format: File extension of the meshes.
        batch_size: Number of samples that are generated at once.
        device: Device of the networks.
        seed: Seed of all random draws.
        up: The axis that points up, for files that do not specify one. In glTF files it is always y. None for the axis
            of the cascade's training shapes, or z.

    Raises:
        ValueError: If the cascade cannot complete shapes, two files have the same name, no file could be completed, or
            the folder cannot be written to.
    """
    check_counts(count, samples, averaged)
    check_folder(output)
    if len({path.stem for path in paths}) < len(paths):
        raise ValueError(
            "two of the files have the same name without extension, so their results would have the same name; rename "
            "one of the two files."
        )
    generator = load_cascade(bundle, device=device)
    check_completes(generator)
    assumed = up or generator.up or "z"
    report = _Report(output, format, total=len(paths))
    with kept_on_stop(lambda: f"{output} holds the first meshes, but no {TABLE}; the same command starts anew."):
        for path in paths:
            try:
                part = shape_of(path, read_surface(path, up=assumed), up=assumed)
                found = complete_shape(
                    generator,
                    part,
                    count=count,
                    samples=samples,
                    averaged=averaged,
                    seed=seed,
                    batch_size=batch_size,
                    sampler=sampler,
                    surface=surface,
                )
            except ValueError as error:
                report.refuse(path, str(error))
                continue
            report.add(part, found)
        report.write()
    if not report.completed:
        raise ValueError(
            f"none of the files ({len(paths)}) could be completed; the reasons are above and in {output / TABLE}."
        )


class _Report:
    """Writes the meshes of each file as soon as the file is completed, and the table and the picture at the end.

    completed: number of files so far that have a completion.
    """

    def __init__(self, output: Path, format: str, *, total: int) -> None:
        self._output, self._format, self._total = output, format, total
        self._rows: list[list[Any]] = []
        self._pictures: dict[str, list[NDArray[np.uint8]]] = {}
        self.completed = 0

    def add(self, part: UnitShape, completions: Sequence[Completion]) -> None:
        """Write the completions of one part, the best first."""
        if not completions:
            self._refuse(part.name, "no sample has a surface")
            return
        self.completed += 1
        for rank, completion in enumerate(completions, start=1):
            file = f"{part.name}_{rank}.{self._format}"
            completion.mesh.save(self._output / file)
            sample = "mean" if completion.index is None else completion.index
            seed = "" if completion.seed is None else completion.seed
            self._rows.append([part.name, rank, file, sample, seed, completion.distance, ""])
        if len(self._pictures) < PICTURED:
            self._pictures[part.name] = _drawn(part, completions[:COLUMNS])
        self._say(
            f"{part.name}: number of completions: {len(completions)}; mean distance of the seen points from the first "
            f"mesh: {100 * completions[0].distance:.2f}% of the part's radius"
        )

    def refuse(self, path: Path, reason: str) -> None:
        """Record why a file has no completion."""
        self._refuse(path.stem, reason)

    def write(self) -> None:
        """Write the table and the picture."""
        self._output.mkdir(parents=True, exist_ok=True)
        write_text(self._output / TABLE, csv_table(TITLES, self._rows))
        if self._pictures:
            columns = max(map(len, self._pictures.values()))
            sheet = contact_sheet(
                [[*row, *[None] * (columns - len(row))] for row in self._pictures.values()],
                column_titles=["seen", *map(str, range(1, columns))],
                row_titles=list(self._pictures),
            )
            save_picture(sheet, self._output / "picture.png")
        self._say(f"completions of {self.completed} of {self._total} files are in {self._output}")

    def _refuse(self, name: str, reason: str) -> None:
        self._rows.append([name, *[""] * (len(TITLES) - 2), reason])
        self._say(f"{name}: {reason}")

    def _say(self, line: str) -> None:
        print(printable(line), flush=True)


def _drawn(part: UnitShape, completions: Sequence[Completion]) -> list[NDArray[np.uint8]]:
    """Return pictures of the part and of its completions, all centred and scaled as the best completion is."""
    frame = Frame.of(completions[0].mesh.vertices)
    points = part.frame.to_source(part.draw(POINTS, sample_generator(0, 0, part.name)))
    meshes = [completion.mesh.in_frame(frame) for completion in completions]
    return [
        render_points(frame.to_unit(points), size=PIXELS, up=part.up),
        *(render_mesh(mesh, size=PIXELS, up=part.up) for mesh in meshes),
    ]
