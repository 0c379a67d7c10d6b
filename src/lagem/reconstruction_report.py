"""What `lagem reconstruct` says and writes about its results: lines, scores.csv and a picture."""

import csv
import io
import time
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from lagem.geometry import contact_sheet, render_mesh, render_points, save_picture
from lagem.preparation.atomic import write_atomically
from lagem.randomness import sample_generator
from lagem.reconstruction import ReconstructedShape

PICTURED = 12  # most shapes in the picture


class Report:
    """Prints a line a file as it is done, then writes the table and the picture.

    Args:
        total: Number of files asked for.
    """

    def __init__(self, *, total: int) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._total = total
        self._count = 0
        self._start = time.monotonic()

    def add(self, path: Path, result: ReconstructedShape | str) -> None:
        """Print one file's scores, or the reason why it has none."""
        self._count += 1
        left = (time.monotonic() - self._start) / self._count * (self._total - self._count)
        position = f"[{self._count}/{self._total}, {left:.0f} s left]"
        if isinstance(result, str):
            self._console.print(f"{position} {path.name}: failed: {result}", markup=False)
            return
        score = result.score
        self._console.print(
            f"{position} {path.name}: Chamfer x100 {100 * score.chamfer:.2f} (sampling floor {100 * score.floor:.2f}), "
            f"F-score@{score.threshold:g} x100 {100 * score.fscore:.2f}, {len(result.mesh.faces):,} faces",
            markup=False,
        )

    def write(
        self,
        done: list[ReconstructedShape],
        failed: dict[Path, str],
        output: Path,
        *,
        up: Literal["y", "z"],
    ) -> None:
        """Write scores.csv and picture.png to `output`, and print means and places."""
        if done:
            save_picture(_picture(done[:PICTURED], up), output / "picture.png")
            chamfer = float(np.mean([shape.score.chamfer for shape in done]))
            fscore = float(np.mean([shape.score.fscore for shape in done]))
            self._console.print(
                f"mean of {len(done)}: Chamfer x100 {100 * chamfer:.2f}, F-score x100 {100 * fscore:.2f} "
                "(distances not squared, both directions summed; against the input's own surface, in the unit sphere)"
            )
        output.mkdir(parents=True, exist_ok=True)
        write_atomically(output / "scores.csv", _table(done, failed).encode())
        self._console.print(f"meshes, scores.csv{' and picture.png' if done else ''} are in {output}", markup=False)
        if failed:
            self._console.print(f"{len(failed)} of {self._total} files failed; scores.csv has the reasons")


def _table(done: list[ReconstructedShape], failed: dict[Path, str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "chamfer", "fscore", "threshold", "sampling_floor", "faces", "reason"])
    for shape in done:
        score = shape.score
        writer.writerow(
            [shape.shape.name, score.chamfer, score.fscore, score.threshold, score.floor, len(shape.mesh.faces), ""]
        )
    for path, reason in failed.items():
        writer.writerow([path.stem, "", "", "", "", "", reason])
    return text.getvalue()


def _picture(done: list[ReconstructedShape], up: Literal["y", "z"]) -> np.ndarray:
    rows = []
    for result in done:
        source = result.shape
        rows.append(
            [
                render_points(source.draw(20_000, sample_generator(0, 0, source.name)), up=up)
                if source.surface is None
                else render_mesh(source.surface, up=up),
                render_mesh(result.mesh, up=up),
            ]
        )
    return contact_sheet(
        rows, column_titles=["input", "reconstruction"], row_titles=[result.shape.name for result in done]
    )
