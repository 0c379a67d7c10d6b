"""Read the scores of one method as arrays, with a row for each training and a column for each shape.

The trainings of a method differ only in their seeds. The folder of a method is either the folder of one
evaluation, or it holds the folder of an evaluation for each training.

Letters: S trainings, N shapes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.evaluation.means import UNLIMITED, Limits, Mean, mean_over_seeds
from lagem.evaluation.reconstruction.card import Card, read_card
from lagem.evaluation.reconstruction.summary import MEASURES

Values = dict[str, NDArray[np.float64]]  # for each measure, (S, N) scores; NaN if undefined


def read_cards(folder: Path) -> list[Card]:
    """Read the card in a folder, or else the cards in its subfolders, in the order of their names.

    Raises:
        ValueError: If there is no card, or a card is damaged.
    """
    inside = sorted(path.parent for path in folder.glob("*/card.json"))
    return [read_card(each) for each in ([folder] if (folder / "card.json").exists() or not inside else inside)]


def values_of(cards: Sequence[Card], ids: Sequence[str], measures: Iterable[str] = MEASURES) -> Values:
    """Return the scores of the shapes with these ids, by measure; every card must hold all of these shapes."""
    return {
        measure: np.array([[getattr(card.scores[id], measure) for id in ids] for card in cards], dtype=np.float64)
        for measure in measures
    }


def mean_of_known(values: NDArray[np.float64], seed: int, *, limits: Limits = UNLIMITED) -> Mean | None:
    """Return the mean of (S, N) values over the shapes that have a value in every training.

    None if there is no such shape. S is the number of trainings, N that of shapes.
    """
    known = values[:, ~np.isnan(values).any(axis=0)]
    return mean_over_seeds(known, seed, limits=limits) if known.size else None
