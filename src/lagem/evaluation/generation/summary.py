"""Summarise the scores of all generated shapes, and of each category with enough references."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lagem.evaluation.generation.sets import ComparedSets
from lagem.evaluation.generation.shapes import JudgedShape
from lagem.evaluation.generation.shares import ShareOfSamples, share_of
from lagem.evaluation.means import Mean, mean_of_defined

LEAST_REFERENCES = 50  # a category with fewer compared references is not reported separately
ONE_SOLID = 0.9  # a solid is dominant if it has at least this fraction of the volume


@dataclass(frozen=True)
class GroupScores:
    """Scores of all shapes, or of one category; an undefined score is left out.

    means: measures of the compared sets, such as MMD, and mean distances to the training set, by their names in
        `lagem.evaluation.tables`.
    shares: proportions by name. `surface` and `one_solid` are proportions of all samples. `recognised`
        is about the samples whose category is compared: it is the proportion of them whose nearest reference has the
        same category. As a baseline, `classifier` is the proportion of references whose nearest other reference has the
        same category.
    """

    means: dict[str, Mean]
    shares: dict[str, ShareOfSamples]


@dataclass(frozen=True)
class GenerationSummary:
    """The result of an evaluation.

    overall: scores of all shapes.
    by_category: scores of each category in which at least LEAST_REFERENCES references are compared.
    left_out: for each category that is not compared, or not reported separately, the reason.
    failures: number of samples without a surface, by reason.
    unread: for each reference that could not be read, by id, the reason.
    """

    overall: GroupScores
    by_category: dict[str, GroupScores]
    left_out: dict[str, str]
    failures: dict[str, int]
    unread: dict[str, str]


def summarise_generation(
    shapes: Sequence[JudgedShape], sets: ComparedSets, left_out: dict[str, str], seed: int
) -> GenerationSummary:
    """Return the scores of all shapes, and those of each category with enough references.

    Args:
        shapes: All generated shapes, the compared references, and the references that could not be read.
        sets: Distances between the compared shapes.
        left_out: For each category that is not compared, the reason.
        seed: Seed of the intervals.
    """
    counts = Counter(sets.groups.tolist())
    named = {group: count for group, count in counts.items() if group}
    few = {group: f"{count} to compare from each set, fewer than {LEAST_REFERENCES}" for group, count in named.items()}
    reported = [group for group, count in named.items() if count >= LEAST_REFERENCES]
    return GenerationSummary(
        overall=_group_scores(shapes, sets, set(named), seed),
        by_category={
            group: _group_scores([s for s in shapes if s.category == group], sets.of_group(group), set(named), seed)
            for group in reported
        },
        left_out=left_out | {group: why for group, why in few.items() if group not in reported},
        failures=dict(Counter(shape.reason for shape in shapes if shape.set == "generated" and shape.reason)),
        unread={shape.id: shape.reason for shape in shapes if shape.set == "reference" and shape.reason},
    )


def _group_scores(shapes: Sequence[JudgedShape], sets: ComparedSets, known: set[str], seed: int) -> GroupScores:
    """Return the scores of these shapes; `known` holds the categories that a shape can be recognised as."""
    samples = [shape for shape in shapes if shape.set == "generated"]
    references = [shape for shape in shapes if shape.set == "reference" and shape.compared]
    means = sets.measures_with_intervals(seed)
    for name, group in (("generated", samples), ("references", references)):
        novelty = mean_of_defined((shape.nearest_train_distance for shape in group), seed, limits=(0, np.inf))
        if novelty is not None:
            means[f"novelty_{name}"] = novelty
    shares = {
        "surface": share_of(sum(not shape.reason for shape in samples), len(samples)),
        "one_solid": share_of(sum((shape.dominant_share or 0) >= ONE_SOLID for shape in samples), len(samples)),
    }
    if len(known) > 1:
        for name, group in (("recognised", samples), ("classifier", references)):
            candidates = [shape for shape in group if shape.category in known]
            correct = sum(shape.recognised_as == shape.category for shape in candidates)
            shares[name] = share_of(correct, len(candidates))
    return GroupScores(means, shares)
