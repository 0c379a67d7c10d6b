"""Figures of generated shapes: of all, and of each category that has enough references."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lagem.evaluation.generation.sets import ComparedSets
from lagem.evaluation.generation.shapes import JudgedShape
from lagem.evaluation.generation.shares import Share, share_of
from lagem.evaluation.means import Mean, mean_of

LEAST_REFERENCES = 50  # of a category, to be reported by itself
ONE_SOLID = 0.9  # share of the volume that makes a solid the dominant one


@dataclass(frozen=True)
class Figures:
    """Of all shapes, or of one category; a figure that is not defined is left out.

    means: measures of the sets, by the names of `lagem.evaluation.tables`, and mean distances to the training set.
    shares: `surface` and `one_solid` of all samples; `recognised` of those in a compared category, and
        `classifier` of the compared references.
    """

    means: dict[str, Mean]
    shares: dict[str, Share]


@dataclass(frozen=True)
class GenerationSummary:
    """What was found.

    overall: of all shapes, every category with as many generated shapes as references.
    by_category: of the categories with enough of both.
    left_out: why other categories have no figures of their own, or none at all.
    failures: how many samples have no surface, by reason.
    unread: why references could not be read, by id.
    """

    overall: Figures
    by_category: dict[str, Figures]
    left_out: dict[str, str]
    failures: dict[str, int]
    unread: dict[str, str]


def summarise_generation(
    shapes: Sequence[JudgedShape], sets: ComparedSets, left_out: dict[str, str], seed: int
) -> GenerationSummary:
    """Sum up.

    Args:
        shapes: All shapes of both sets.
        sets: The compared ones.
        left_out: Categories that are not compared, and why.
        seed: Of the intervals.
    """
    counts = Counter(sets.groups.tolist())
    named = {group: count for group, count in counts.items() if group}
    few = {group: f"{count} to compare, fewer than {LEAST_REFERENCES}" for group, count in named.items()}
    reported = [group for group, count in named.items() if count >= LEAST_REFERENCES]
    return GenerationSummary(
        overall=_figures(shapes, sets, set(named), seed),
        by_category={
            group: _figures([s for s in shapes if s.category == group], sets.of_group(group), set(named), seed)
            for group in reported
        },
        left_out=left_out | {group: why for group, why in few.items() if group not in reported},
        failures=dict(Counter(shape.reason for shape in shapes if shape.set == "generated" and shape.reason)),
        unread={shape.id: shape.reason for shape in shapes if shape.set == "reference" and shape.reason},
    )


def _figures(shapes: Sequence[JudgedShape], sets: ComparedSets, known: set[str], seed: int) -> Figures:
    """Figures of some shapes; `known` are the categories that a shape can be recognised as."""
    samples = [shape for shape in shapes if shape.set == "generated"]
    references = [shape for shape in shapes if shape.set == "reference" and shape.compared]
    means = sets.summed_up(seed)
    for name, group in (("generated", samples), ("references", references)):
        distances = [shape.nearest_train_distance for shape in group if shape.nearest_train_distance is not None]
        if distances:
            means[f"novelty_{name}"] = mean_of(np.array(distances), seed)
    shares = {
        "surface": share_of(sum(not shape.reason for shape in samples), len(samples)),
        "one_solid": share_of(sum((shape.dominant_share or 0) >= ONE_SOLID for shape in samples), len(samples)),
    }
    if len(known) > 1:
        for name, group in (("recognised", samples), ("classifier", references)):
            asked = [shape for shape in group if shape.category in known]
            right = sum(shape.recognised_as == shape.category for shape in asked)
            shares[name] = share_of(right, len(asked))
    return Figures(means, shares)
