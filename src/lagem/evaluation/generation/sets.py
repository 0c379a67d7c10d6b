"""Measures that compare a generated set with a real set: MMD, COV, 1-NNA (Yang et al. 2019, PointFlow) and diversity.

There are n generated shapes and n references; each shape is in a group (its category). MMD (Achlioptas et al. 2018):
mean over references of the distance to the nearest generated shape. COV (Achlioptas et al. 2018): fraction of the
references that are the nearest reference of some generated shape. 1-NNA (Lopez-Paz & Oquab 2017): fraction of all 2 n
shapes whose nearest neighbour belongs to the same set. For two sets from one distribution 1-NNA is about 1/2, and COV
stays well below 1; 1-NNA is below 1/2 if generated shapes are copies of references. Diversity: mean distance between
two shapes of the same set and group, for each set, and the ratio of the two.

Intervals. MMD, COV and 1-NNA depend on the size of the sets and on nearest neighbours. A bootstrap draws with
replacement, so its sample has only 63% of the shapes, some of them several times. The nearest neighbour of a shape that
is drawn twice is its copy, so 1-NNA would rise towards 1 for any sets, COV would fall and MMD would rise. Here nothing
is drawn twice. Each resampling takes a random half of the generated shapes and, independently, a random half of the
references, from every group as evenly as possible (a delete-d jackknife with d = n/2; Shao & Wu 1989). If m of n terms
are drawn without replacement, their mean has (1 - m/n) / m times the variance of one term. For m = n/2 this factor is
1/n, as for the mean over a whole set. So halves vary as much as whole sets do. The mean of the halves is biased,
because halves are smaller; the interval is therefore the value of the whole sets plus the deviations of the halves from
their mean. In a half, a shape often has another nearest neighbour, which widens the intervals: for Gaussian sets of 50
and of 200 shapes, 96 to 99% of the intervals contained the mean MMD, COV or 1-NNA of sets of that size, and 92 to 98%
contained the mean diversity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.evaluation.generation.pairs import Matrix
from lagem.evaluation.generation.presets import jensen_shannon
from lagem.evaluation.means import INTERVAL, Mean
from lagem.randomness import sample_generator

HALVES = 1_000
PROPORTIONS = ("coverage", "one_nna", "jsd")  # measures whose values cannot exceed 1

Indices = NDArray[np.int64]
Measures = dict[str, float]


@dataclass(frozen=True)
class SetDistances:
    """Values of one kind of distance between all pairs of G generated shapes and R references.

    If the distance is not symmetric, each entry is the distance from the column's shape to the row's shape.

    generated: (G, G), between generated shapes.
    across: (G, R), between generated shapes and references.
    references: (R, R), between references.
    """

    generated: Matrix
    across: Matrix
    references: Matrix

    def chosen(self, generated: Indices, references: Indices) -> "SetDistances":
        """Return only the distances between the shapes with these indices."""
        return SetDistances(
            self.generated[np.ix_(generated, generated)],
            self.across[np.ix_(generated, references)],
            self.references[np.ix_(references, references)],
        )


def minimum_matching_distance(across: Matrix) -> float:
    """Return the MMD, given the (G, R) distances between generated shapes and references."""
    return float(across.min(axis=0).mean())


def coverage(across: Matrix) -> float:
    """Return the COV, given the (G, R) distances between generated shapes and references."""
    return len(np.unique(across.argmin(axis=1))) / across.shape[1]


def one_nearest_neighbour_accuracy(distances: SetDistances) -> float:
    """Return the 1-NNA: the fraction of all shapes whose nearest neighbour is in the same set.

    If several neighbours of a shape are equally near, the shape counts as the fraction of them that is in its set.
    """
    same_set = np.concatenate(
        [
            _nearest_in_same_set(distances.generated, distances.across),
            _nearest_in_same_set(distances.references, distances.across.T),
        ]
    )
    return float(same_set.mean())


def published_measures(distances: SetDistances, name: str) -> Measures:
    """Return the MMD, the COV and the 1-NNA; the key of each ends in `name`, the name of the distance."""
    return {
        f"mmd_{name}": minimum_matching_distance(distances.across),
        f"coverage_{name}": coverage(distances.across),
        f"one_nna_{name}": one_nearest_neighbour_accuracy(distances),
    }


def diversity(within: Matrix, groups: NDArray[np.str_]) -> float:
    """Return the mean distance between two shapes of the same group; NaN if there is no such pair.

    Args:
        within: (N, N) distances between the shapes of one set.
        groups: (N,) groups of these shapes.
    """
    first, second = np.triu_indices(len(groups), k=1)
    same = groups[first] == groups[second]
    return float(within[first[same], second[same]].mean()) if same.any() else np.nan


@dataclass(frozen=True)
class ComparedSets:
    """Distances between n generated shapes and n references.

    groups: (n,) group (category) of each generated shape, and also of the reference with the same index.
    plain: Chamfer distances, not squared, from which the diversity is computed.
    published: by name, the distances from which MMD, COV and 1-NNA are computed.
    histograms: two arrays, for the generated shapes and for the references, from which the JSD is computed: (n, C)
        numbers of points of each shape in each of C cells. None if the JSD is not measured.
    """

    groups: NDArray[np.str_]
    plain: SetDistances
    published: dict[str, SetDistances]
    histograms: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def of_group(self, group: str) -> "ComparedSets":
        """Return both sets reduced to the shapes of one group."""
        indices = np.flatnonzero(self.groups == group)
        published = {name: distances.chosen(indices, indices) for name, distances in self.published.items()}
        histograms = self.histograms and (self.histograms[0][indices], self.histograms[1][indices])
        return ComparedSets(self.groups[indices], self.plain.chosen(indices, indices), published, histograms)

    def measures(self, generated: Indices, references: Indices) -> Measures:
        """Return all measures of the shapes with these indices."""
        found: Measures = {}
        for name, distances in self.published.items():
            found |= published_measures(distances.chosen(generated, references), name)
        if self.histograms is not None:
            of_both = (counts[shapes] for counts, shapes in zip(self.histograms, (generated, references), strict=True))
            found["jsd"] = jensen_shannon(*(counts.sum(axis=0) for counts in of_both))
        plain = self.plain.chosen(generated, references)
        of_generated = diversity(plain.generated, self.groups[generated])
        of_references = diversity(plain.references, self.groups[references])
        ratio = of_generated / of_references if of_references else np.nan
        return found | {
            "diversity_generated": of_generated,
            "diversity_references": of_references,
            "diversity_ratio": ratio,
        }

    def measures_with_intervals(self, seed: int) -> dict[str, Mean]:
        """Return all measures with 95% intervals; see `with_intervals`."""
        return with_intervals(self.measures, self.groups, seed)


def with_intervals(
    measures: Callable[[Indices, Indices], Measures], groups: NDArray[np.str_], seed: int
) -> dict[str, Mean]:
    """Return the measures of the whole sets, with 95% intervals from random halves of both sets.

    A measure that is undefined for the whole sets or for any half is left out.

    Args:
        measures: Takes indices of generated shapes and of references, and returns the measures of these shapes.
        groups: (n,) group (category) of each generated shape, and also of the reference with the same index.
        seed: Seed of the random halves.
    """
    everything = np.arange(len(groups))
    values = measures(everything, everything)
    rng = sample_generator(seed, 0, "halves")
    halves = [measures(half_of(groups, rng), half_of(groups, rng)) for _ in range(HALVES)] if len(groups) > 1 else []
    found = {}
    for name, value in values.items():
        resampled = np.array([half[name] for half in halves] or [value])
        if np.isfinite([value, *resampled]).all():
            low, high = value + np.quantile(resampled - resampled.mean(), INTERVAL)
            most = 1.0 if name.startswith(PROPORTIONS) else np.inf
            found[name] = Mean(value, len(groups), low=float(max(low, 0)), high=float(min(high, most)))
    return found


def half_of(groups: NDArray[np.str_], rng: np.random.Generator) -> Indices:
    """Return the indices of a random half of the shapes, drawn as evenly as possible from every group."""
    return np.lexsort((rng.random(len(groups)), groups))[rng.integers(2) :: 2]


def _nearest_in_same_set(same: Matrix, other: Matrix) -> NDArray[np.float64]:
    """Return for each shape of a set whether its nearest neighbour is in the same set, as (N,) floats.

    The number is 1 if it is and 0 if not. If several neighbours are equally near, it is the fraction in the same set.

    Args:
        same: (N, N) distances between the shapes of the set.
        other: (N, M) distances to the shapes of the other set.
    """
    same = same + np.diag(np.full(len(same), np.inf))
    nearest_same, nearest_other = same.min(axis=1), other.min(axis=1)
    in_same_set = (nearest_same < nearest_other).astype(np.float64)
    for row in np.flatnonzero(nearest_same == nearest_other):
        tied = np.count_nonzero(same[row] == nearest_same[row]), np.count_nonzero(other[row] == nearest_same[row])
        in_same_set[row] = tied[0] / sum(tied)
    return in_same_set
