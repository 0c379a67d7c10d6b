"""How measures look in tables: titles, factors and digits, in Markdown, in CSV and on the terminal."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from lagem.evaluation.means import Mean
from lagem.storage.csv_table import csv_table
from lagem.storage.names import printable

# By measure: the title in tables, and the factor by which tables multiply the values.
TITLES = {
    "chamfer": ("Chamfer ×100", 100),
    "floor": ("floor ×100", 100),
    "fscore_010": ("F@0.01 ×100", 100),
    "fscore_020": ("F@0.02 ×100", 100),
    "fscore_050": ("F@0.05 ×100", 100),
    "iou": ("IoU", 1),
    "iou_near": ("IoU near", 1),
    "normal_consistency": ("normals", 1),
    "mmd_chamfer": ("MMD-CD ×1000", 1000),
    "coverage_chamfer": ("COV-CD ×100", 100),
    "one_nna_chamfer": ("1-NNA-CD ×100", 100),
    "mmd_emd": ("MMD-EMD ×100", 100),
    "coverage_emd": ("COV-EMD ×100", 100),
    "one_nna_emd": ("1-NNA-EMD ×100", 100),
    "jsd": ("JSD", 1),
    "diversity_generated": ("diversity ×100", 100),
    "diversity_references": ("references' diversity ×100", 100),
    "diversity_ratio": ("their ratio", 1),
    "novelty_generated": ("novelty ×100", 100),
    "novelty_references": ("novelty of references ×100", 100),
}

WIDEST_WORD = 24  # a longer word in the first column of a terminal's table may be broken

Rows = Sequence[Sequence[str]]  # the rows of a table, the header first


def formatted_value(measure: str, value: float, *, sign: bool = False) -> str:
    """Return a value of a measure as text, multiplied by the measure's factor in TITLES and rounded.

    With `sign`, positive values start with a plus.
    """
    factor = TITLES[measure][1]
    return f"{factor * value:{'+' if sign else ''}.{2 if factor == 100 else 3}f}"


def formatted_mean(measure: str, mean: Mean | None, *, interval: bool, sign: bool = False) -> str:
    """Return a mean of a measure as text, or "–" for None.

    The interval is added if `interval` is set and the mean is over more than one value.
    """
    if mean is None:
        return "–"
    value, low, high = (formatted_value(measure, number, sign=sign) for number in (mean.value, mean.low, mean.high))
    return f"{value} [{low}, {high}]" if interval and mean.count > 1 else value


def markdown_table(rows: Rows) -> list[str]:
    """Return the lines of a Markdown table. The character | in a cell is replaced by /."""
    header, *others = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    return [header, f"|{'---|' * len(rows[0])}", *others]


def terminal_table(rows: Rows, *, title: str | None = None) -> Table:
    """Return a table for the terminal. Its columns are narrow, so that it fits into 80 characters.

    Names in the first column take several lines if the terminal is narrow. Numbers are never cut, and only words of
    more than WIDEST_WORD characters are broken.
    """
    names, *others = zip(*([printable(cell) for cell in row] for row in rows), strict=True)
    stacked = [[header.replace(" ", "\n"), *cells] for header, *cells in others]
    free = get_terminal_size().columns - sum(_width(cells) + 1 for cells in stacked)  # for the first column
    longest_word = _width([word for name in names for word in name.split()])
    width = max(min(_width(names), free), min(longest_word, WIDEST_WORD), 1)
    folded = ["\n".join(textwrap.wrap(name, width, break_on_hyphens=False)) for name in names]
    gap = int(free >= width + len(rows[0]))  # if there is room, two spaces separate the columns, else one
    table = Table(
        title=title and Text(printable(title), style="table.title"),
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, gap, 0, 0),
    )
    columns = [folded, *stacked]
    for header, *cells in columns:
        justify: Literal["left", "right"] = "right" if table.columns else "left"
        table.add_column(Text(header), min_width=_width([header, *cells]), no_wrap=True, justify=justify)
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))
    return table


def _width(cells: Iterable[str]) -> int:
    """Return the width of the longest line in some cells."""
    return max((cell_len(line) for cell in cells for line in cell.split("\n")), default=0)


def csv_of_records(records: Sequence[Mapping[str, object]]) -> str:
    """Return the CSV text of one or more records with the same keys; floats have six significant digits."""
    titles = list(records[0])
    return csv_table(titles, ([_six_digits(record[title]) for title in titles] for record in records))


def _six_digits(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
