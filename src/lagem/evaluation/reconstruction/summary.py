"""Means of shape scores over shapes and over categories, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from lagem.evaluation.means import Mean, mean_of, mean_of_defined
from lagem.evaluation.reconstruction.score import ShapeScore

NO_MEASURES = ("id", "category", "reason", "nearest_train", "nearest_train_distance")
MEASURES = tuple(field.name for field in fields(ShapeScore) if field.name not in NO_MEASURES)
LIMITS = {measure: (0.0, np.inf if measure in ("chamfer", "floor") else 1.0) for measure in MEASURES}


@dataclass(frozen=True)
class Summary:
    """Means of the scores, by measure. A measure is left out if no shape has a value of it.

    over_shapes: means over all shapes.
    over_categories: means of the categories' means, as in the paper's Table 4.
    by_category: means over the shapes of each category.
    without_nearest: means over all shapes except the 10% that lie nearest to training shapes (`nearest_tenth`); empty
        if no distance to the training set is known.
    nearest: means over these 10%; empty if no distance to the training set is known.
    failed: by the id of a shape, the reason why the shape could not be read, or why its result has no surface. The
        F-score of such a shape is 0.
    """

    over_shapes: dict[str, Mean]
    over_categories: dict[str, Mean]
    by_category: dict[str, dict[str, Mean]]
    without_nearest: dict[str, Mean]
    nearest: dict[str, Mean]
    failed: dict[str, str]


def summarise(scores: Sequence[ShapeScore], *, seed: int = 0) -> Summary:
    """Return the means of scores over shapes, over categories and within each category, with 95% intervals.

    Args:
        scores: Scores of the evaluated shapes.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If there is no score.
    """
    if not scores:
        raise ValueError("no shape was scored, so there is nothing to summarise; check the folder and --split.")
    categories = sorted({score.category for score in scores})
    by_category = {
        category: _means([score for score in scores if score.category == category], seed) for category in categories
    }
    over_categories = {}
    for measure in MEASURES:
        values = [means[measure].value for means in by_category.values() if measure in means]
        if values:
            over_categories[measure] = mean_of(np.array(values), seed, limits=LIMITS[measure])
    nearest = nearest_tenth(scores)
    return Summary(
        over_shapes=_means(scores, seed),
        over_categories=over_categories,
        by_category=by_category,
        without_nearest=_means([score for score in scores if score.id not in nearest], seed) if nearest else {},
        nearest=_means([score for score in scores if score.id in nearest], seed),
        failed={score.id: score.reason for score in scores if score.reason},
    )


def nearest_tenth(scores: Sequence[ShapeScore]) -> set[str]:
    """Return the ids of the 10% of the shapes, rounded up, that lie nearest to a training shape.

    These shapes may have leaked into the training set. If no distance to a training shape is known, the set is empty.
    """
    known = sorted(
        (score.nearest_train_distance, score.id) for score in scores if score.nearest_train_distance is not None
    )
    return {id for _, id in known[: -(-len(known) // 10)]}


def _means(scores: Sequence[ShapeScore], seed: int) -> dict[str, Mean]:
    means = {
        measure: mean_of_defined((getattr(score, measure) for score in scores), seed, limits=LIMITS[measure])
        for measure in MEASURES
    }
    return {measure: mean for measure, mean in means.items() if mean is not None}
