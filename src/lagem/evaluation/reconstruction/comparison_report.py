"""The report of a comparison: tables on the terminal, comparison.md and comparison.json."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lagem.evaluation.reconstruction.comparison import Comparison, Difference, compare
from lagem.evaluation.report import print_plain, write_report
from lagem.evaluation.tables import TITLES, formatted_mean, formatted_value, markdown_table, terminal_table

DEFINITION = """\
Difference: second minus first, paired by shape and by training; in brackets the 95% interval for new shapes by a
studentised bootstrap, joined with a t-interval for new trainings if there are several. A shape without a surface counts
as 0 in F-score and normals. Left out: shapes without a value in some evaluation, such as the Chamfer distance of a
result without a surface. Nearest tenth: the 10% of the shapes, rounded up, that lie nearest to a training
shape; they may be leaks."""


def report_comparisons(folders: Sequence[Path], output: Path | None) -> None:
    """Compare each later evaluation with the first, print the tables, and write them if there is an output folder.

    Args:
        folders: At least two folders that `lagem evaluate` wrote.
        output: Folder for comparison.md and comparison.json, created if it does not exist; None to write nothing.
    """
    comparisons = compare(folders)
    console = Console(soft_wrap=True)
    for comparison in comparisons:
        console.print(terminal_table(comparison_rows(comparison), title=_title(comparison)))
    print_plain(console, [DEFINITION])
    if output:
        write_report(output, "comparison", _markdown_lines(comparisons), [asdict(one) for one in comparisons])
        print_plain(console, [f"comparison.md and comparison.json are in {output}"])


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """Return the rows of a table: titles, the measures over all shapes, the measures without the nearest tenth."""
    rows = [["", "pairs", "left out", "first", "second", "difference"]]
    for group, differences in (
        ("all shapes", comparison.over_shapes),
        ("without nearest tenth", comparison.without_nearest),
    ):
        if differences:
            rows.append([group, *[""] * 5])
        rows += [
            [TITLES[measure][0], *_cells(measure, differences[measure])]
            for measure in TITLES
            if measure in differences and measure != "floor"
        ]
    return rows


def _markdown_lines(comparisons: Sequence[Comparison]) -> list[str]:
    lines = ["# Comparison"]
    for comparison in comparisons:
        lines += ["", f"## {_title(comparison)}", "", *markdown_table(comparison_rows(comparison))]
    return [*lines, "", DEFINITION]


def _cells(measure: str, found: Difference) -> list[str]:
    return [
        str(found.difference.count),
        str(found.left_out),
        formatted_value(measure, found.first),
        formatted_value(measure, found.second),
        formatted_mean(measure, found.difference, interval=True, sign=True),
    ]


def _title(comparison: Comparison) -> str:
    unpaired = f", {comparison.unpaired} in only one" if comparison.unpaired else ""
    trainings = f"{comparison.trainings} trainings, " if comparison.trainings > 1 else ""
    counted = f"{trainings}{comparison.shapes} shapes in both{unpaired}"
    return f"first {comparison.first}, second {comparison.second}: {counted}"
