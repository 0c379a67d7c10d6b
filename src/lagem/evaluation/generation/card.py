"""The card of an evaluation of generated shapes.

It consists of three files: generation.csv, generation.json, and generation.md, which also defines the scores.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lagem.evaluation.card_head import GenerationHead
from lagem.evaluation.generation.presets import PRESETS
from lagem.evaluation.generation.shapes import JudgedShape
from lagem.evaluation.generation.shares import ShareOfSamples
from lagem.evaluation.generation.summary import LEAST_REFERENCES, GenerationSummary, GroupScores
from lagem.evaluation.means import Mean
from lagem.evaluation.report import print_plain, write_report
from lagem.evaluation.tables import TITLES, Rows, csv_of_records, formatted_mean, markdown_table, terminal_table
from lagem.storage.atomic import write_text
from lagem.storage.checked.description import MOST_BYTES_OF_CARD, Description, read_description

CARD = "generation.json"
SHARES = {
    "surface": "with a surface",
    "one_solid": "one dominant solid",
    "recognised": "recognised",
    "classifier": "references recognised",
}
TABLES = ("mmd", "coverage", "one_nna", "jsd"), ("diversity", "novelty")
OWN_SETS = """\
Sets: in every category as many generated shapes as references, drawn by the seed; {points:,} points per shape,
in the unit-sphere frame; generated shapes are not normalised again. EMD: mean distance under the best one-to-one
assignment, exact."""
PRESET_SETS = """\
Preset {name}. Sets: in every category of the samples, all references, and equally many generated shapes (the first that
have a surface); {points:,} points per shape. {definition}"""
DEFINITION = f"""\
CD: squared distances to the nearest points, mean over one cloud plus mean over the other. MMD: mean over references of
the distance to the nearest generated shape. COV: fraction of the references that are nearest to some
generated shape. 1-NNA: fraction of all shapes whose nearest neighbour belongs to the same set; near 50 if both sets
come from one distribution, 100 if they are far apart, below 50 if references are copied (PointFlow, Yang et al. 2019;
COV and MMD: Achlioptas et al. 2018). All depend on the number of shapes: compare only values for equal numbers.
Brackets: 95% intervals. Those of MMD, COV, 1-NNA and diversity come from the spread over random halves of both sets (no
shape is drawn twice, because its copy would be its nearest neighbour), those of distances to the training set from a
studentised bootstrap, and those of proportions from Wilson's formula.
Diversity: mean Chamfer distance (not squared) of pairs within a category, and the ratio of generated to references.
Novelty: mean Chamfer distance (not squared, 16,384 points) to the nearest training shape, for generated shapes and for
references; a generated set that is much nearer repeats its training set. generation.csv names that training shape.
With a surface, one dominant solid: fractions of all samples; the largest connected solid has at least 90% of the
volume. Recognised: the nearest reference (Chamfer, not squared) has the requested category; a sample without a surface
is not recognised. References recognised, as a baseline: the same for each reference, compared with the other
references.
A category has a row if it has at least {LEAST_REFERENCES} references."""


def write_generation_card(
    folder: Path, shapes: Sequence[JudgedShape], summary: GenerationSummary, head: GenerationHead
) -> None:
    """Write the three files of a card: generation.csv, generation.json and generation.md.

    Args:
        folder: Created if it does not exist.
        shapes: All shapes of both sets.
        summary: Summary of these shapes.
        head: Head of the card: the compared sets and the settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = [shape.record() for shape in shapes]
    write_text(folder / "generation.csv", csv_of_records(records))
    content = {"about": head.to_card(), **asdict(summary), "shapes": records}
    write_report(folder, "generation", _markdown_lines(summary, head), content)


def read_generation_card(folder: Path) -> tuple[GenerationHead, GenerationSummary]:
    """Read the card of generated shapes: its head, and the summary.

    Raises:
        ValueError: If the card is missing or damaged.
    """
    content = _content(folder)
    try:
        head = GenerationHead.from_card(content.object("about").values)
    except ValueError as error:
        raise content.damaged(str(error)) from None
    groups, left_out, unread = (content.object(name) for name in ("by_category", "left_out", "unread"))
    failures = content.object("failures")
    return head, GenerationSummary(
        overall=_group_of(content.object("overall")),
        by_category={name: _group_of(groups.object(name)) for name in groups.values},
        left_out={name: left_out.text(name) for name in left_out.values},
        failures={reason: failures.integer(reason) for reason in failures.values},
        unread={id: unread.text(id) for id in unread.values},
    )


def read_judged_samples(folder: Path) -> list[JudgedShape]:
    """Read the generated shapes in a card: their ids, categories and nearest training shapes, but no other fields.

    Raises:
        ValueError: If the card is missing or damaged.
    """
    return [
        JudgedShape(
            set="generated",
            id=shape.text("id"),
            category=shape.text("category"),
            nearest_train=shape.optional(shape.text, "nearest_train"),
            nearest_train_distance=shape.optional(shape.number, "nearest_train_distance"),
        )
        for shape in _content(folder).objects("shapes")
        if shape.text("set") == "generated"
    ]


def _content(folder: Path) -> Description:
    remedy = f"evaluate again with --output {folder}"
    return read_description(folder / CARD, remedy=remedy, at_most=MOST_BYTES_OF_CARD)


def definition_of(head: GenerationHead) -> str:
    """Return the text with which a card explains its sets and measures."""
    preset = None if head.preset is None else PRESETS.get(head.preset)
    if preset is None:
        return f"{OWN_SETS.format(points=head.points)} {DEFINITION}"
    return f"{PRESET_SETS.format(name=head.preset, points=head.points, definition=preset.definition)}\n{DEFINITION}"


def _group_of(content: Description) -> GroupScores:
    means, shares = content.object("means"), content.object("shares")
    return GroupScores(
        means={name: means.object(name).as_dataclass(Mean) for name in means.values if name in TITLES},
        shares={name: shares.object(name).as_dataclass(ShareOfSamples) for name in shares.values if name in SHARES},
    )


def print_generation_summary(summary: GenerationSummary, folder: Path, *, compared: int) -> None:
    """Print how many shapes are compared, the tables of a summary, its remarks (`summary_remarks`), and the folder.

    Args:
        summary: The summary to print.
        folder: Folder of the card.
        compared: n, the number of generated shapes that are compared with equally many references.
    """
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{compared} generated shapes and as many references are compared")
    for rows in summary_tables(summary, intervals=False):
        console.print(terminal_table(rows))
    print_plain(console, summary_remarks(summary))
    print_plain(console, [f"generation.md with the intervals, generation.json and generation.csv are in {folder}"])


def summary_tables(summary: GenerationSummary, *, intervals: bool) -> list[Rows]:
    """Return the tables of a summary, in this order: measures of the sets, distances, proportions.

    Each table has a row for all shapes, and a row for each reported category. The first two tables are left out if they
    would have no column.

    Args:
        summary: The summary.
        intervals: Whether the cells also show the 95% intervals.
    """
    groups = {"all shapes": summary.overall, **summary.by_category}
    tables: list[Rows] = []
    for kinds in TABLES:
        measures = [name for name in TITLES if name.startswith(kinds) and name in summary.overall.means]
        if measures:
            rows = [["", *(TITLES[measure][0] for measure in measures)]]
            for group, scores in groups.items():
                cells = (formatted_mean(name, scores.means.get(name), interval=intervals) for name in measures)
                rows.append([group, *cells])
            tables.append(rows)
    shares = [name for name in SHARES if name in summary.overall.shares]
    tables.append([["", *(SHARES[name] for name in shares)], *_share_rows(groups, shares, intervals)])
    return tables


def summary_remarks(summary: GenerationSummary) -> list[str]:
    """Return lines about samples without a surface, unreadable references, and categories without a row."""
    lines = [f"samples without a surface: {count} ({reason})" for reason, count in summary.failures.items()]
    lines += [f"reference {id} is left out: {reason}" for id, reason in summary.unread.items()]
    for reason in dict.fromkeys(summary.left_out.values()):
        names = ", ".join(name for name, why in summary.left_out.items() if why == reason)
        lines.append(f"categories without a row ({reason}): {names}")
    return lines


def _share_rows(groups: dict[str, GroupScores], shares: Sequence[str], intervals: bool) -> list[list[str]]:
    return [
        [group, *(_formatted_share(scores.shares.get(name), interval=intervals) for name in shares)]
        for group, scores in groups.items()
    ]


def _formatted_share(share: ShareOfSamples | None, *, interval: bool) -> str:
    if share is None:
        return "–"
    counts = f"{share.successes} of {share.count}"
    return f"{counts}, {share.value:.1%} [{100 * share.low:.1f}, {100 * share.high:.1f}]" if interval else counts


def _markdown_lines(summary: GenerationSummary, head: GenerationHead) -> list[str]:
    lines = ["# Generated shapes", "", *head.lines(), ""]
    for rows in summary_tables(summary, intervals=True):
        lines += [*markdown_table(rows), ""]
    lines.append(definition_of(head))
    if remarks := summary_remarks(summary):
        lines += ["", *(f"- {line}" for line in remarks)]
    return lines
