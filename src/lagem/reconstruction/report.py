"""The output of `lagem reconstruct` other than meshes: a printed line for each file, scores.csv and a picture."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.metrics import SurfaceScore
from lagem.geometry.picture import contact_sheet, render_mesh, render_points, save_picture
from lagem.randomness import sample_generator
from lagem.reconstruction.files import ReconstructedShape
from lagem.storage.atomic import write_text
from lagem.storage.csv_table import csv_table
from lagem.storage.names import printable

PICTURED = 12  # maximum number of shapes in the picture


class Report:
    """Prints a line for each finished file, and collects scores, reasons for failure, and the first pictures.

    Args:
        total: Number of files to reconstruct.
    """

    def __init__(self, *, total: int) -> None:
        self.scores: dict[str, tuple[SurfaceScore, int]] = {}  # by name: the score and the number of faces
        self.failed: dict[str, str] = {}
        self._pictures: dict[str, list[NDArray[np.uint8]]] = {}
        self._total = total
        self._start = time.monotonic()

    def add(self, path: Path, result: ReconstructedShape | str) -> None:
        """Print the scores of one file, or the reason why it has none."""
        count = len(self.scores) + len(self.failed) + 1
        left = (time.monotonic() - self._start) / count * (self._total - count)
        position = f"[{count}/{self._total}, {left:.0f} s left] {path.name}:"
        if isinstance(result, str):
            self.failed[path.stem] = result
            self._say(f"{position} failed: {result}")
            return
        score, faces = result.score, len(result.mesh.faces)
        self.scores[path.stem] = score, faces
        if len(self._pictures) < PICTURED:
            self._pictures[path.stem] = self._drawn(result)
        self._say(
            f"{position} Chamfer x100 {100 * score.chamfer:.2f} (sampling floor {100 * score.floor:.2f}), "
            f"F-score@{score.threshold:g} x100 {100 * score.fscore:.2f}, {faces:,} faces"
        )

    def write(self, output: Path) -> None:
        """Write `output`/scores.csv, and print a summary.

        The table has a row for each input file: its scores, or the reason why it failed.

        If any file was reconstructed, also write picture.png.
        """
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / "scores.csv", self._table())
        if self._pictures:
            sheet = contact_sheet(
                list(zip(*self._pictures.values(), strict=True)),
                column_titles=list(self._pictures),
                row_titles=["input", "reconstruction"],
            )
            save_picture(sheet, output / "picture.png")
            chamfer = float(np.mean([score.chamfer for score, _ in self.scores.values()]))
            fscore = float(np.mean([score.fscore for score, _ in self.scores.values()]))
            self._say(
                f"mean of {len(self.scores)}: Chamfer x100 {100 * chamfer:.2f}, F-score x100 {100 * fscore:.2f} "
                "(distances not squared, both directions summed; against the input's own surface, in the unit sphere)"
            )
        self._say(f"{'meshes, scores.csv and picture.png are' if self._pictures else 'scores.csv is'} in {output}")
        if self.failed:
            self._say(f"{len(self.failed)} of {self._total} files failed; scores.csv has the reasons")

    def _say(self, line: str) -> None:
        print(printable(line), flush=True)

    def _table(self) -> str:
        scored = [
            [name, score.chamfer, score.fscore, score.threshold, score.floor, faces, ""]
            for name, (score, faces) in self.scores.items()
        ]
        failed = [[name, "", "", "", "", "", reason] for name, reason in self.failed.items()]
        titles = ["name", "chamfer", "fscore", "threshold", "sampling_floor", "faces", "reason"]
        return csv_table(titles, [*scored, *failed])

    def _drawn(self, result: ReconstructedShape) -> list[NDArray[np.uint8]]:
        source = result.shape
        if source.surface is None:
            points = source.draw(20_000, sample_generator(0, 0, source.name))
            return [render_points(points, up=source.up), render_mesh(result.mesh, up=source.up)]
        return [render_mesh(source.surface, up=source.up), render_mesh(result.mesh, up=source.up)]
