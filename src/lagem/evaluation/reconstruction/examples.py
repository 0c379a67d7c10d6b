"""Pictures of the worst, the median and the best shapes of an evaluation: the truth above, the result below."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lagem.evaluation.reconstruction.methods import Method
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.truth import Truth, Untrue
from lagem.geometry.picture import Picture, contact_sheet, render_points, save_picture

SHOWN = 4  # of each kind, fewer where there are fewer
SIZE = 280  # pixels


def examples(scores: Sequence[ShapeScore]) -> dict[str, list[ShapeScore]]:
    """The worst, median and best shapes by F-score@.02, each list from worse to better; they overlap where few."""
    ranked = sorted(scores, key=lambda score: (score.fscore_020, score.id))
    count = min(SHOWN, len(ranked))
    middle = (len(ranked) - count) // 2
    return {
        "worst": ranked[:count],
        "median": ranked[middle : middle + count],
        "best": ranked[len(ranked) - count :],
    }


def draw_examples(
    path: Path,
    method: Method,
    scores: Sequence[ShapeScore],
    truths: Callable[[set[str]], Iterator[Truth | Untrue]],
    *,
    up: Literal["y", "z"],
) -> None:
    """Write a picture of examples; a result without a surface leaves a grey place.

    Args:
        path: A png.
        method: Is asked again for the results of the examples.
        scores: Of shapes that have a truth, at least one.
        truths: Gives the truths of these ids.
        up: The frame's axis that points up in the picture.
    """
    chosen = examples(scores)
    drawn: dict[str, list[Picture | None]] = {}
    for truth in truths({score.id for kind in chosen.values() for score in kind}):
        if isinstance(truth, Truth):
            truth_drawn = render_points(truth.reference_points, size=SIZE, up=up)
            drawn[truth.id] = [truth_drawn, method.draw(truth, size=SIZE, up=up)]
    sheets = []
    for kind, shown in chosen.items():
        rows = list(zip(*(drawn[score.id] for score in shown), strict=True))
        titles = [f"{kind} {100 * score.fscore_020:.1f} {score.id}" for score in shown]
        sheets.append(contact_sheet(rows, column_titles=titles, row_titles=["truth", "result"]))
    save_picture(np.concatenate(sheets), path)
