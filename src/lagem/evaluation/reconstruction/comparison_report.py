"""A comparison for people and for programs: tables on the terminal, comparison.md and comparison.json."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from lagem.evaluation.reconstruction.comparison import Comparison, Difference
from lagem.evaluation.tables import TITLES, figure, figure_of_mean, markdown_table, terminal_table
from lagem.storage.atomic import write_json, write_text

DEFINITION = """\
Difference: second less first; in brackets the 95% interval of a paired bootstrap over the shapes. A shape without a
surface counts as F-score and normals 0. Left out: shapes without a value in one of the two, as the Chamfer distance of
a result without a surface. Nearest tenth: the tenth of the shapes, rounded up, that lie nearest to a training shape:
possible leaks."""


def show(comparisons: Sequence[Comparison], console: Console | None = None) -> None:
    """Print a table a comparison."""
    console = console or Console(soft_wrap=True)
    for comparison in comparisons:
        console.print(terminal_table(rows_of(comparison), title=_title(comparison)))
    console.print(DEFINITION, markup=False, highlight=False)


def write(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write comparison.md and comparison.json into a folder, which is made if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Comparison"]
    for comparison in comparisons:
        lines += ["", f"## {_title(comparison)}", "", *markdown_table(rows_of(comparison))]
    write_text(folder / "comparison.md", "\n".join([*lines, "", DEFINITION]) + "\n")
    content = [asdict(comparison) for comparison in comparisons]
    write_json(folder / "comparison.json", content, indent=1)


def rows_of(comparison: Comparison) -> list[list[str]]:
    """Rows of a table: titles first, then every measure over all shapes, then without the nearest tenth."""
    rows = [["", "pairs", "left out", "first", "second", "difference"]]
    for words, differences in (
        ("all shapes", comparison.over_shapes),
        ("without nearest tenth", comparison.without_nearest),
    ):
        if differences:
            rows.append([words, *[""] * 5])
        rows += [
            [TITLES[measure][0], *_cells(measure, differences[measure])]
            for measure in TITLES
            if measure in differences and measure != "floor"
        ]
    return rows


def _cells(measure: str, found: Difference) -> list[str]:
    return [
        str(found.difference.count),
        str(found.left_out),
        figure(measure, found.first),
        figure(measure, found.second),
        figure_of_mean(measure, found.difference, interval=True, sign=True),
    ]


def _title(comparison: Comparison) -> str:
    unpaired = f", {comparison.unpaired} only in one" if comparison.unpaired else ""
    return f"first {comparison.first}, second {comparison.second}: {comparison.shapes} shapes in both{unpaired}"
