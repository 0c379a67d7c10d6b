"""Tables of the comparisons: means of each compared model or baseline, and paired differences between them.

Means and differences have intervals over shapes and seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lagem.evaluation.means import Mean
from lagem.evaluation.reconstruction import trainings
from lagem.evaluation.reconstruction.card import read_card
from lagem.evaluation.reconstruction.trainings import Values, mean_of_known
from lagem.evaluation.report import write_report
from lagem.evaluation.tables import TITLES, formatted_mean, markdown_table

MEASURES = ("chamfer", "fscore_010", "fscore_020", "iou", "iou_near", "normal_consistency")
DEFINITION = """\
Brackets: 95% interval over shapes and training seeds: a studentised bootstrap over shapes, joined with a
t-interval over seeds; with one seed, over shapes alone. Differences are paired by shape and seed. A reconstruction
without a surface counts as 0 in F-score and normals; the Chamfer distance leaves its shape out with all seeds."""

Means = dict[str, Mean | None]


def values_of(cards: Sequence[Path]) -> Values:
    """Return the scores of one compared model or baseline, read from its evaluations: one folder for each seed.

    Raises:
        ValueError: If an evaluation is missing or damaged, or if its shapes differ from those of the first one.
    """
    read = [read_card(card) for card in cards]
    ids = sorted(read[0].scores)
    for card in read:
        if sorted(card.scores) != ids:
            raise ValueError(
                f"{card.folder}: holds other shapes than {cards[0]}; remove the folder and run this again."
            )
    return trainings.values_of(read, ids, MEASURES)


def means_of(values: Values) -> Means:
    """Return the mean of each measure over the shapes with a value for every seed; None if there is no such shape."""
    return {measure: mean_of_known(of, 0) for measure, of in values.items()}


def differences(first: Values, second: Values) -> Means:
    """Return the means of first minus second, paired by shape and seed."""
    return means_of({measure: first[measure] - second[measure] for measure in MEASURES})


def rows_of(title: str, sides: Mapping[str, Values], steps: Mapping[str, int | None]) -> list[list[str]]:
    """Return the rows of the table, header first; the first side is compared with each of the others.

    A side is a compared model, or the baseline without training.

    Args:
        title: Head of the first column.
        sides: Values by name of the side.
        steps: Number of training steps by name of the side; None for a side without training.
    """
    (reference, base), *_ = sides.items()
    rows = [[title, "steps", "without surface", *(TITLES[measure][0] for measure in MEASURES)]]
    for name, values in sides.items():
        count = steps[name]
        empty = np.isnan(values["chamfer"]).sum(axis=1).mean()
        rows.append([name, "–" if count is None else f"{count:,}", f"{empty:.1f}", *_cells(means_of(values))])
        if name != reference:
            rows.append([f"{reference} minus {name}", "", "", *_cells(differences(base, values), sign=True)])
    return rows


def write_tables(
    folder: Path,
    name: str,
    tables: Mapping[str, Mapping[str, Values]],
    steps: Mapping[str, Mapping[str, int | None]],
    about: str,
) -> list[list[list[str]]]:
    """Write the tables as Markdown and as JSON, and return the rows of each table.

    A side is a compared model, or the baseline without training.

    Args:
        folder: Output folder.
        name: Name of both files, without the extension.
        tables: The tables by title. Each maps the name of a side to the values of this side.
        steps: The numbers of training steps, in the same layout. The number is None for a side without training.
        about: The paragraph above the tables, which says what was scored and how.
    """
    found = {title: rows_of(title, sides, steps[title]) for title, sides in tables.items()}
    lines = ["# Comparison", "", about]
    for rows in found.values():
        lines += ["", *markdown_table(rows)]
    content = [
        {
            "table": title,
            "side": side,
            "steps": steps[title][side],
            "means": _plain(means_of(values)),
            "first_minus_this": _plain(differences(next(iter(sides.values())), values)),
        }
        for title, sides in tables.items()
        for side, values in sides.items()
    ]
    write_report(folder, name, [*lines, "", DEFINITION], content)
    return list(found.values())


def _cells(means: Means, *, sign: bool = False) -> list[str]:
    return [formatted_mean(measure, means[measure], interval=True, sign=sign) for measure in MEASURES]


def _plain(means: Means) -> dict[str, Any]:
    return {measure: None if mean is None else asdict(mean) for measure, mean in means.items()}
