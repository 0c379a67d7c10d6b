"""The report of a comparison: tables on the terminal, comparison.md and comparison.json."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console

from lagem.evaluation.bar_chart import bar_chart
from lagem.evaluation.reconstruction.comparison import Comparison, Difference, compare
from lagem.evaluation.report import print_plain, write_report
from lagem.evaluation.tables import TITLES, formatted_mean, formatted_value, markdown_table, terminal_table
from lagem.geometry.picture import Picture, save_picture

BY_CATEGORY = ("chamfer", "fscore_020")
DEFINITION = """\
Difference: second minus first, paired by shape, and by training if there are several. A lower Chamfer distance is
better, and a higher value of every other score. In brackets the 95% interval over shapes by a studentised bootstrap,
joined with a t-interval over trainings if there are several; for a dozen shapes, one end may lie far from the
difference. A shape without a surface counts as 0 in F-score and normals. Left out: shapes without a value in some
evaluation, such as the Chamfer distance of a result without a surface. Nearest tenth: the 10% of the shapes, rounded
up, that lie nearest to a training shape; they may be leaks."""


def report_comparisons(folders: Sequence[Path], output: Path | None) -> None:
    """Compare the first evaluation with each later one, print the tables, and write them if there is an output folder.

    Args:
        folders: At least two folders, as `compare` takes them.
        output: Folder for comparison.md, comparison.json and, if there are several categories, categories.png. It is
            created if it does not exist. None to write nothing.
    """
    comparisons = compare(folders)
    console = Console(soft_wrap=True)
    for comparison in comparisons:
        console.print(terminal_table(comparison_rows(comparison), title=_title(comparison)))
    print_plain(console, DEFINITION.splitlines())
    if output:
        write_report(output, "comparison", _markdown_lines(comparisons), [asdict(one) for one in comparisons])
        written = "comparison.md and comparison.json"
        if comparisons[0].by_category:
            save_picture(categories_picture(comparisons), output / "categories.png")
            written = "comparison.md, comparison.json and categories.png"
        print_plain(console, [f"{written} are in {output}"])


def comparison_rows(comparison: Comparison) -> list[list[str]]:
    """Return the rows of a table, titles first.

    The first rows compare each measure over all shapes. Further rows leave out the nearest tenth: the 10% of the shapes
    that lie nearest to training shapes. If no distance to the training set is known, there are no further rows.
    """
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


def category_rows(comparison: Comparison) -> list[list[str]]:
    """Return the rows of a table, titles first, with a row for each category; empty if there is only one category."""
    if not comparison.by_category:
        return []
    titles = (f"{TITLES[measure][0]}: {name}" for measure in BY_CATEGORY for name in ("first", "second", "difference"))
    rows = [["", "shapes", *titles]]
    for category, differences in comparison.by_category.items():
        cells = [cell for measure in BY_CATEGORY for cell in _category_cells(measure, differences.get(measure))]
        rows.append([category, str(differences["fscore_020"].difference.count), *cells])
    return rows


def _category_cells(measure: str, found: Difference | None) -> list[str]:
    return ["–"] * 3 if found is None else _cells(measure, found)[2:]


def categories_picture(comparisons: Sequence[Comparison]) -> Picture:
    """Return a picture of the mean scores of all sides in each category, as in Figure 7 of the paper.

    It has one bar chart for each measure in BY_CATEGORY, from top to bottom.
    """
    categories = list(comparisons[0].by_category)
    charts = []
    for measure in BY_CATEGORY:
        title, factor = TITLES[measure]
        bars: dict[str, list[float | None]] = {}
        for comparison in comparisons:
            found = [comparison.by_category.get(category, {}).get(measure) for category in categories]
            bars.setdefault(comparison.first, [None if each is None else factor * each.first for each in found])
            bars[comparison.second] = [None if each is None else factor * each.second for each in found]
        charts.append(bar_chart(title, categories, bars))
    return np.concatenate(charts)


def _markdown_lines(comparisons: Sequence[Comparison]) -> list[str]:
    lines = ["# Comparison"]
    for comparison in comparisons:
        lines += ["", f"## {_title(comparison)}", "", *markdown_table(comparison_rows(comparison))]
        if rows := category_rows(comparison):
            lines += ["", *markdown_table(rows)]
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
    unpaired = f", {comparison.unpaired} missing in some evaluation" if comparison.unpaired else ""
    trainings = f"{comparison.trainings} trainings, " if comparison.trainings > 1 else ""
    counted = f"{trainings}{comparison.shapes} shapes in both{unpaired}"
    return f"first {comparison.first}, second {comparison.second}: {counted}"
