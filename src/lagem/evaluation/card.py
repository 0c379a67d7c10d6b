"""The report of an evaluation: scores.csv, card.json and card.md, with the definitions beside the figures."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from lagem.evaluation.score import ShapeScore
from lagem.evaluation.summary import Mean, Summary
from lagem.preparation.atomic import write_atomically

# measure: its title, and the factor of the tables
TITLES = {
    "chamfer": ("Chamfer ×100", 100),
    "floor": ("floor ×100", 100),
    "fscore_010": ("F@.01 ×100", 100),
    "fscore_020": ("F@.02 ×100", 100),
    "fscore_050": ("F@.05 ×100", 100),
    "iou": ("IoU", 1),
    "iou_near": ("IoU near", 1),
    "normal_consistency": ("normals", 1),
}
DEFINITION = """\
Chamfer: mean distance from truth to result plus mean distance back, not squared, {points:,} points on the result.
F-score: harmonic mean of the shares of points nearer than the threshold. IoU: over queries uniform in the ball of
radius √3 (unbiased) and over the near queries as stored; – where the truth is an input mesh. Normals: mean |cosine| of
nearest points' normals. Floor: Chamfer of two samplings of one surface. Marching cubes on {resolution} cells a side.
Unit-sphere frame: not comparable with figures of a box frame. Brackets: 95% bootstrap interval. A shape without a
surface counts as F-score and normals 0 and is left out of the Chamfer mean."""


def write_card(
    folder: Path, scores: Sequence[ShapeScore], summary: Summary, about: dict[str, str | int | float]
) -> None:
    """Write the three files.

    Args:
        folder: Made if absent.
        scores: One a shape.
        summary: Of these scores.
        about: What was evaluated on what: weights, data, split, truth, seed, points, resolution, …
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "scores.csv", _csv(scores).encode())
    content = {"about": about, **asdict(summary), "scores": [asdict(score) for score in scores]}
    write_atomically(folder / "card.json", (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(folder / "card.md", _markdown(summary, about).encode())


def rows_of(summary: Summary, *, intervals: bool) -> list[list[str]]:
    """Rows of a table: the measures' titles first, then means over shapes, over categories, and of each category."""
    measures = [measure for measure in TITLES if measure in summary.over_shapes]
    rows = [["", "shapes", *(TITLES[measure][0] for measure in measures)]]
    for name, means in (
        ("mean over shapes", summary.over_shapes),
        ("mean over categories", summary.over_categories),
        *summary.by_category.items(),
    ):
        counts = means["fscore_020"].count
        rows.append([name, str(counts), *(_cell(measure, means.get(measure), intervals) for measure in measures)])
    return rows


def _cell(measure: str, mean: Mean | None, interval: bool) -> str:
    if mean is None:
        return "–"
    factor = TITLES[measure][1]
    digits = 2 if factor == 100 else 3
    value, low, high = (f"{factor * number:.{digits}f}" for number in (mean.value, mean.low, mean.high))
    return f"{value} [{low}, {high}]" if interval and mean.count > 1 else value


def _markdown(summary: Summary, about: dict[str, str | int | float]) -> str:
    header, *rows = rows_of(summary, intervals=True)
    lines = ["# Evaluation", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", DEFINITION.format(points=about["points"], resolution=about["resolution"])]
    if summary.failed:
        lines += ["", f"{len(summary.failed)} without a result:", ""]
        lines += [f"- {id}: {reason}" for id, reason in summary.failed.items()]
    return "\n".join(lines) + "\n"


def _csv(scores: Sequence[ShapeScore]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(ShapeScore)], lineterminator="\n")
    writer.writeheader()
    for score in scores:
        row = asdict(score)
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
    return text.getvalue()
