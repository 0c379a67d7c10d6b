"""The report of an evaluation: scores.csv, card.json and card.md, with the definitions beside the figures."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import Summary
from lagem.evaluation.tables import TITLES, figure_of_mean, markdown_table, six_digits
from lagem.storage.atomic import write_json, write_text
from lagem.storage.csv_table import csv_table

DEFINITION = """\
Chamfer: mean distance from truth to result plus mean distance back, not squared, {points:,} points on the result.
F-score: harmonic mean of the shares of points nearer than the threshold. IoU: over queries uniform in the ball of
radius √3 (unbiased) and over the near queries as stored; – where the truth is an input mesh. Normals: mean |cosine| of
nearest points' normals. Floor: Chamfer of two samplings of one surface.
Unit-sphere frame: not comparable with figures of a box frame. Brackets: 95% bootstrap interval. A shape without a
surface counts as F-score and normals 0 and is left out of the Chamfer mean."""
GRID = "Marching cubes on {resolution} cells a side."
RETRIEVED = """\
Retrieved shapes have no IoU, and no more points than are stored, so their floor is higher than that of a mesh. For
scores on an equal footing evaluate both with --points no more than that."""
NEAREST = """\
Nearest tenth: the tenth of the shapes, rounded up, that lie nearest to a training shape (Chamfer distance of the stored
surfaces in the same frame, not turned): possible leaks. scores.csv names that shape and its distance."""


def write_card(folder: Path, scores: Sequence[ShapeScore], summary: Summary, head: ReconstructionHead) -> None:
    """Write the three files.

    Args:
        folder: Made if absent.
        scores: One a shape.
        summary: Of these scores.
        head: What was evaluated on what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "scores.csv", _csv(scores))
    content = {"about": head.to_card(), **asdict(summary), "scores": [asdict(score) for score in scores]}
    write_json(folder / "card.json", content, indent=1)
    write_text(folder / "card.md", _markdown(summary, head))


def rows_of(summary: Summary, *, intervals: bool) -> list[list[str]]:
    """Rows of a table: the measures' titles first, then means over shapes, over categories, and of each category.

    Where the nearest tenth is known, the mean over shapes is followed by that without it and that over it alone.
    """
    measures = [measure for measure in TITLES if measure in summary.over_shapes]
    rows = [["", "shapes", *(TITLES[measure][0] for measure in measures)]]
    for name, means in (
        ("mean over shapes", summary.over_shapes),
        ("… without nearest tenth", summary.without_nearest),
        ("… nearest tenth alone", summary.nearest),
        ("mean over categories", summary.over_categories),
        *summary.by_category.items(),
    ):
        if means:
            cells = [figure_of_mean(measure, means.get(measure), interval=intervals) for measure in measures]
            rows.append([name, str(means["fscore_020"].count), *cells])
    return rows


def _markdown(summary: Summary, head: ReconstructionHead) -> str:
    lines = ["# Evaluation", "", *head.lines(), ""]
    lines += [*markdown_table(rows_of(summary, intervals=True)), "", DEFINITION.format(points=head.points)]
    lines.append(GRID.format(resolution=head.resolution) if head.resolution else RETRIEVED)
    if summary.nearest:
        lines.append(NEAREST)
    if summary.failed:
        lines += ["", f"{len(summary.failed)} without a result:", ""]
        lines += [f"- {id}: {reason}" for id, reason in summary.failed.items()]
    return "\n".join(lines) + "\n"


def _csv(scores: Sequence[ShapeScore]) -> str:
    titles = [field.name for field in fields(ShapeScore)]
    return csv_table(titles, ([six_digits(getattr(score, name)) for name in titles] for score in scores))
