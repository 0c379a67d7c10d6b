"""The card of an evaluation of reconstructions: scores.csv, card.json, and card.md, which also defines the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction import vecset
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import Summary
from lagem.evaluation.reconstruction.truth import InnerFaces
from lagem.evaluation.report import write_report
from lagem.evaluation.tables import TITLES, csv_of_records, formatted_mean, formatted_value, markdown_table
from lagem.storage.atomic import write_text
from lagem.storage.checked.description import MOST_BYTES_OF_CARD, read_description
from lagem.storage.csv_table import write_csv

DEFINITION = """\
Chamfer: mean distance from truth to result plus mean distance from result to truth, not squared, {points:,} points on
the result. F-score: harmonic mean of the two fractions of points, of truth and of result, whose distance to the other
surface is below the threshold. IoU: over queries uniform in the ball of radius √3 (unbiased), and over the near queries
as stored; – if the truth is an input mesh.
Normals: mean |cosine| between the normals of nearest points. Floor: Chamfer distance of two samplings of one surface.
Brackets: 95% interval over shapes, by a studentised bootstrap. A shape without a surface counts as 0 in F-score and
normals and is left out of the mean Chamfer distance."""
FRAME = "Unit-sphere frame: not comparable with values from a box frame."
GRID = "Marching cubes on {resolution} cells a side."
RETRIEVED = """\
Retrieved shapes have no IoU. They have only the points that are stored, so their floor is higher than that of a mesh.
For a fair comparison, evaluate retrieval and autoencoder with the same --points, at most the number stored."""
NEAREST = """\
Nearest tenth: the 10% of the shapes, rounded up, that lie nearest to a training shape (Chamfer distance of the stored
surfaces in the same frame, not rotated); they may be leaks. scores.csv names the nearest training shape of each."""


@dataclass(frozen=True)
class Card:
    """A card (the report of an evaluation) that was read from a folder: its head, and the scores by shape id."""

    folder: Path
    head: ReconstructionHead
    scores: dict[str, ShapeScore]


def write_card(folder: Path, scores: Sequence[ShapeScore], summary: Summary, head: ReconstructionHead) -> None:
    """Write the three files of a card: scores.csv, card.json and card.md.

    Args:
        folder: Created if it does not exist.
        scores: Scores of the evaluated shapes.
        summary: Means of these scores.
        head: Head of the card: the method, the shapes and the settings.
    """
    records = [asdict(score) for score in scores]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "scores.csv", csv_of_records(records))
    content = {"about": head.to_card(), **asdict(summary), "scores": records}
    write_report(folder, "card", _markdown_lines(summary, head), content)


def write_inner_faces(path: Path, inner: Mapping[str, InnerFaces]) -> None:
    """Write a CSV table with a row for each mesh. A row lists the indices of the mesh's inner faces, from 0.

    Inner faces cannot be seen from outside, and are left out of the ground truth.
    """
    titles = ["id", "faces", "inner faces", "inner fraction of the area", "indices"]
    rows = (
        [id, faces.total, len(faces.inner), f"{faces.area:.6g}", " ".join(map(str, faces.inner.tolist()))]
        for id, faces in inner.items()
    )
    write_csv(path, titles, rows)


def read_card(folder: Path) -> Card:
    """Read the card of an evaluation from its folder.

    Raises:
        ValueError: If the card is missing or damaged.
    """
    path = folder / "card.json"
    try:
        content = read_description(path, remedy=f"evaluate again with --output {folder}", at_most=MOST_BYTES_OF_CARD)
    except FileNotFoundError:
        raise ValueError(f"{folder}: has no card.json; write it with `lagem evaluate ... --output {folder}`.") from None
    scores = [score.as_dataclass(ShapeScore) for score in content.objects("scores")]
    try:
        head = ReconstructionHead.from_card(content.object("about").values)
    except ValueError as error:
        raise content.damaged(str(error)) from None
    return Card(folder=folder, head=head, scores={score.id: score for score in scores})


def summary_rows(summary: Summary, *, intervals: bool) -> list[list[str]]:
    """Return the rows of the table of means, titles first.

    The rows are the means over all shapes, the means over categories, and the means over the shapes of each category.
    If distances to the training set are known, two rows follow the first one: one without the 10% of the shapes
    that lie nearest to training shapes, and one of only these 10%.
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
            cells = [formatted_mean(measure, means.get(measure), interval=intervals) for measure in measures]
            rows.append([name, str(means["fscore_020"].count), *cells])
    return rows


def interval_rows(summary: Summary) -> list[list[str]]:
    """Return the ends of the 95% intervals of the means over all shapes, as two rows for the table of `summary_rows`.

    A mean of a single value has no interval. If no mean has one, the result is empty.
    """
    means = {measure: summary.over_shapes[measure] for measure in TITLES if measure in summary.over_shapes}
    if all(mean.count == 1 for mean in means.values()):
        return []
    ends = {"… 95% from": lambda mean: mean.low, "… 95% to": lambda mean: mean.high}
    return [
        [name, "", *(formatted_value(measure, end(mean)) if mean.count > 1 else "" for measure, mean in means.items())]
        for name, end in ends.items()
    ]


def definition_lines(summary: Summary, head: ReconstructionHead) -> list[str]:
    """Return the lines of text that explain the columns of the table of means."""
    lines = [DEFINITION.format(points=head.points), FRAME if head.preset is None else vecset.DEFINITION]
    lines.append(GRID.format(resolution=head.resolution) if head.resolution else RETRIEVED)
    return [*lines, NEAREST] if summary.nearest else lines


def _markdown_lines(summary: Summary, head: ReconstructionHead) -> list[str]:
    lines = ["# Evaluation", "", *head.lines(), ""]
    lines += [*markdown_table(summary_rows(summary, intervals=True)), "", *definition_lines(summary, head)]
    if summary.failed:
        lines += ["", f"Shapes without a result: {len(summary.failed)}", ""]
        lines += [f"- {id}: {reason}" for id, reason in summary.failed.items()]
    return lines
