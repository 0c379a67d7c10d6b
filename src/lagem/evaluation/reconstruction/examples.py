"""Pictures of the worst, median and best shapes of an evaluation, with the truth above the result."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from lagem.evaluation.reconstruction.methods import Method
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.truth import Truth, UnreadableShape
from lagem.geometry.frame import Up
from lagem.geometry.picture import Picture, contact_sheet, render_points, save_picture

SHOWN = 4  # maximum number of shapes of each kind
SIZE = 280  # pixels


def examples(scores: Sequence[ShapeScore]) -> dict[str, list[ShapeScore]]:
    """Return the scores of the worst, the median and the best shapes by F-score@0.02, each list in ascending order.

    Each shape is in one list. If there are only a few shapes, the lists of the median and the best shapes are shorter,
    and a list without shapes is left out.
    """
    ranked = sorted(scores, key=lambda score: (score.fscore_020, score.id))
    middle = max(len(ranked) - SHOWN, 0) // 2
    chosen: dict[str, list[ShapeScore]] = {}
    taken: set[str] = set()
    for kind, first in (("worst", 0), ("median", middle), ("best", max(len(ranked) - SHOWN, 0))):
        if rest := [score for score in ranked[first : first + SHOWN] if score.id not in taken]:
            chosen[kind] = rest
            taken.update(score.id for score in rest)
    return chosen


def draw_examples(
    path: Path,
    method: Method,
    scores: Sequence[ShapeScore],
    truths: Callable[[set[str]], Iterator[Truth | UnreadableShape]],
    *,
    up: Up | None,
) -> None:
    """Write a picture of the worst, the median and the best shapes. A result without a surface has a grey tile.

    Args:
        path: A png file.
        method: The evaluated method, which computes the results of the examples again.
        scores: Scores of readable shapes, at least one.
        truths: Takes ids of shapes, and yields these shapes with their ground truth.
        up: The frame's axis that points up in the picture; None for that of each shape.
    """
    chosen = examples(scores)
    ids = {score.id for kind in chosen.values() for score in kind}
    drawn = draw_results(truths(ids), [method], size=SIZE, up=up)
    sheets = []
    for kind, shown in chosen.items():
        rows = list(zip(*(drawn[score.id] for score in shown), strict=True))
        titles = [f"{kind} {100 * score.fscore_020:.1f} {score.id}" for score in shown]
        sheets.append(contact_sheet(rows, column_titles=titles, row_titles=["truth", "result"]))
    width = max(sheet.shape[1] for sheet in sheets)
    whole = [np.pad(sheet, ((0, 0), (0, width - sheet.shape[1]), (0, 0)), constant_values=255) for sheet in sheets]
    save_picture(np.concatenate(whole), path)


def draw_results(
    truths: Iterable[Truth | UnreadableShape], methods: Sequence[Method], *, size: int, up: Up | None
) -> dict[str, list[Picture | None]]:
    """Return pictures of each readable shape, by id: first the truth, then the result of each method.

    Args:
        truths: The shapes.
        methods: The methods that compute the results. For a result without a surface, None stands for its picture.
        size: Number of pixels along a side of a picture.
        up: The frame's axis that points up in the picture; None for that of each shape.
    """
    return {
        truth.id: [
            render_points(truth.reference_points, size=size, up=up or truth.up),
            *(method.draw(truth, size=size, up=up or truth.up) for method in methods),
        ]
        for truth in truths
        if isinstance(truth, Truth)
    }
