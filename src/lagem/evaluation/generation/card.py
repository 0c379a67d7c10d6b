"""The report of generated shapes: generation.csv, generation.json and generation.md, with the definitions."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lagem.evaluation.card_head import GenerationHead
from lagem.evaluation.generation.shapes import JudgedShape
from lagem.evaluation.generation.shares import Share
from lagem.evaluation.generation.summary import LEAST_REFERENCES, Figures, GenerationSummary
from lagem.evaluation.tables import TITLES, Rows, figure_of_mean, markdown_table, six_digits, terminal_table
from lagem.storage.atomic import write_json, write_text
from lagem.storage.csv_table import csv_table

SHARES = {
    "surface": "with a surface",
    "one_solid": "one dominant solid",
    "recognised": "recognised",
    "classifier": "references recognised",
}
TABLES = ("mmd", "coverage", "one_nna"), ("diversity", "novelty")
DEFINITION = f"""\
Sets: of every category as many generated shapes as references, drawn by the seed; {{points:,}} points a shape, in the
unit sphere's frame, which generated shapes are taken in as they were made. CD: squared distances to the nearest points,
mean over one cloud plus mean over the other. EMD: mean distance under the best one-to-one assignment, exact. MMD: mean
over references of the distance to the nearest generated shape. COV: share of the references that are nearest to some
generated shape. 1-NNA: share of all shapes whose nearest other one is of their own set; near 50 for two sets of one
distribution, 100 where they are apart, below 50 where references are copied (PointFlow, Yang et al. 2019; COV and MMD
Achlioptas et al. 2018). All depend on the number of shapes: compare figures of equal numbers only.
Brackets: 95% intervals, of sets by the spread of random halves of each (no shape is drawn twice, as a copy would be its
own nearest neighbour), of distances to the training set by the bootstrap, of shares Wilson's.
Diversity: mean Chamfer distance (not squared) of pairs within a category, and the ratio of generated to references.
To train: mean Chamfer distance (not squared, 16,384 points) to the nearest shape of the training set, the references'
own beside it; a generated set that is much nearer repeats its training set. generation.csv names the shape.
With a surface, one dominant solid: of all samples; the largest connected solid has at least 90% of the volume.
Recognised: the nearest reference (Chamfer, not squared) is of the category asked for; a sample without a surface is
not. References recognised: the same for each reference among the others, to hold it against.
Categories by themselves from {LEAST_REFERENCES} references up."""


def write_generation_card(
    folder: Path, shapes: Sequence[JudgedShape], summary: GenerationSummary, head: GenerationHead
) -> None:
    """Write the three files.

    Args:
        folder: Made if absent.
        shapes: All of both sets.
        summary: Of these shapes.
        head: What was compared with what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [shape.row() for shape in shapes]
    write_text(folder / "generation.csv", _csv(rows))
    content = {"about": head.to_card(), **asdict(summary), "shapes": rows}
    write_json(folder / "generation.json", content, indent=1)
    write_text(folder / "generation.md", _markdown(summary, head))


def show(summary: GenerationSummary, folder: Path, *, compared: int) -> None:
    """Print the tables, and what is left out or failed.

    Args:
        summary: To be printed.
        folder: Where the card is.
        compared: n, shapes of each set.
    """
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{compared} generated shapes and as many references are compared")
    for rows in tables_of(summary, intervals=False):
        console.print(terminal_table(rows))
    for line in remarks_of(summary):
        console.print(line, markup=False)
    console.print(f"generation.md, generation.json and generation.csv are in {folder}", markup=False)


def tables_of(summary: GenerationSummary, *, intervals: bool) -> list[Rows]:
    """Tables of the sets' measures, of distances, and of shares; a row for all shapes and one a reported category."""
    groups = {"all shapes": summary.overall, **summary.by_category}
    found: list[Rows] = []
    for kinds in TABLES:
        measures = [name for name in TITLES if name.startswith(kinds) and name in summary.overall.means]
        if measures:
            rows = [["", *(TITLES[measure][0] for measure in measures)]]
            for group, figures in groups.items():
                cells = (figure_of_mean(name, figures.means.get(name), interval=intervals) for name in measures)
                rows.append([group, *cells])
            found.append(rows)
    shares = [name for name in SHARES if name in summary.overall.shares]
    found.append([["", *(SHARES[name] for name in shares)], *_share_rows(groups, shares, intervals)])
    return found


def remarks_of(summary: GenerationSummary) -> list[str]:
    """Lines on what has no figures: failures by reason, unread references, categories left out."""
    lines = [f"{count} samples without a surface: {reason}" for reason, count in summary.failures.items()]
    lines += [f"reference {id} is left out: {reason}" for id, reason in summary.unread.items()]
    for reason in dict.fromkeys(summary.left_out.values()):
        lines.append(f"left out, {reason}: {', '.join(k for k, why in summary.left_out.items() if why == reason)}")
    return lines


def _share_rows(groups: dict[str, Figures], shares: Sequence[str], intervals: bool) -> list[list[str]]:
    return [
        [group, *(_share(figures.shares.get(name), interval=intervals) for name in shares)]
        for group, figures in groups.items()
    ]


def _share(share: Share | None, *, interval: bool) -> str:
    if share is None:
        return "–"
    words = f"{share.successes} of {share.count}"
    return f"{words}, {share.value:.1%} [{100 * share.low:.1f}, {100 * share.high:.1f}]" if interval else words


def _markdown(summary: GenerationSummary, head: GenerationHead) -> str:
    lines = ["# Generated shapes", "", *head.lines(), ""]
    for rows in tables_of(summary, intervals=True):
        lines += [*markdown_table(rows), ""]
    lines.append(DEFINITION.format(points=head.points))
    if remarks := remarks_of(summary):
        lines += ["", *(f"- {line}" for line in remarks)]
    return "\n".join(lines) + "\n"


def _csv(rows: Sequence[dict[str, object]]) -> str:
    titles = list(rows[0])
    return csv_table(titles, ([six_digits(row[name]) for name in titles] for row in rows))
