"""A set of generated shapes beside a set of real ones: MMD, COV and 1-NNA (Yang et al. 2019, PointFlow), and diversity.

n generated shapes and n references, their pairwise distances, and for each the group (category) it belongs to.
MMD: mean over references of the distance to the nearest generated shape. COV: share of the references that are the
nearest reference of some generated shape (both Achlioptas et al. 2018). 1-NNA: share of all 2 n shapes whose nearest
other shape is of their own set (Lopez-Paz & Oquab 2017). For two sets of one distribution 1-NNA is about 1/2, below it
where generated shapes are copies of references; COV stays well below 1.

Intervals. All three depend on the size of the sets, and on a shape's nearest neighbour. A bootstrap that draws with
replacement holds only 63% different shapes, and copies of them: the nearest neighbour of a shape that was drawn twice
is itself, so 1-NNA would rise towards 1 whatever the sets are, COV would fall and MMD rise. Nothing is drawn twice
here. Each resampling takes a random half of the generated shapes and, on its own, a random half of the references, of
every group as far as it is even (a delete-d jackknife with d = n/2; Shao & Wu 1989). The variance of a mean of local
terms over m of n shapes, drawn without replacement, is (1 - m/n) / m of that of one term, for m = n/2 the very 1/n of
the whole sets. So the halves spread as the whole does; as they are smaller, their own mean is off, and only their
deviations from it are laid around the value of the whole sets. A shape's nearest neighbour in a half is often another
one, which widens the intervals: of Gaussian sets of 50 and of 200, 96 to 99% held the mean MMD, COV and 1-NNA of sets
of that size, and 92 to 98% that of the diversity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.evaluation.generation.pairs import Matrix
from lagem.evaluation.means import INTERVAL, Mean
from lagem.randomness import sample_generator

HALVES = 1_000
SHARES = ("coverage", "one_nna")  # measures that are at most 1

Places = NDArray[np.int64]
Measures = dict[str, float]


@dataclass(frozen=True)
class SetDistances:
    """One distance, of G generated shapes and R references.

    generated: (G, G); across: (G, R); references: (R, R).
    """

    generated: Matrix
    across: Matrix
    references: Matrix

    def chosen(self, generated: Places, references: Places) -> "SetDistances":
        """Those of some of the shapes."""
        return SetDistances(
            self.generated[np.ix_(generated, generated)],
            self.across[np.ix_(generated, references)],
            self.references[np.ix_(references, references)],
        )


def minimum_matching_distance(across: Matrix) -> float:
    """MMD of (G, R) distances."""
    return float(across.min(axis=0).mean())


def coverage(across: Matrix) -> float:
    """COV of (G, R) distances."""
    return len(np.unique(across.argmin(axis=1))) / across.shape[1]


def one_nearest_neighbour_accuracy(distances: SetDistances) -> float:
    """1-NNA; where shapes of both sets are equally near to a shape, it counts by the share of its own among them."""
    right = np.concatenate(
        [
            _nearest_is_own(distances.generated, distances.across),
            _nearest_is_own(distances.references, distances.across.T),
        ]
    )
    return float(right.mean())


def published_measures(distances: SetDistances, name: str) -> Measures:
    """The three, under names that end in that of the distance."""
    return {
        f"mmd_{name}": minimum_matching_distance(distances.across),
        f"coverage_{name}": coverage(distances.across),
        f"one_nna_{name}": one_nearest_neighbour_accuracy(distances),
    }


def diversity(within: Matrix, groups: NDArray[np.str_]) -> float:
    """Mean distance of the pairs of shapes of one group; NaN where there is no such pair.

    Args:
        within: (N, N) distances of the shapes of one set.
        groups: (N,) of these shapes.
    """
    first, second = np.triu_indices(len(groups), k=1)
    alike = groups[first] == groups[second]
    return float(within[first[alike], second[alike]].mean()) if alike.any() else np.nan


@dataclass(frozen=True)
class ComparedSets:
    """n generated shapes and n references, in one order of groups.

    groups: (n,) of the generated shapes, and of the references.
    plain: Chamfer distances, not squared, for the diversity.
    published: distances that the three measures are taken by, by their names.
    """

    groups: NDArray[np.str_]
    plain: SetDistances
    published: dict[str, SetDistances]

    def of_group(self, group: str) -> "ComparedSets":
        """The shapes of one group."""
        places = np.flatnonzero(self.groups == group)
        published = {name: distances.chosen(places, places) for name, distances in self.published.items()}
        return ComparedSets(self.groups[places], self.plain.chosen(places, places), published)

    def measures(self, generated: Places, references: Places) -> Measures:
        """All measures of some of the shapes."""
        found: Measures = {}
        for name, distances in self.published.items():
            found |= published_measures(distances.chosen(generated, references), name)
        plain = self.plain.chosen(generated, references)
        of_generated = diversity(plain.generated, self.groups[generated])
        of_references = diversity(plain.references, self.groups[references])
        ratio = of_generated / of_references if of_references else np.nan
        return found | {
            "diversity_generated": of_generated,
            "diversity_references": of_references,
            "diversity_ratio": ratio,
        }

    def summed_up(self, seed: int) -> dict[str, Mean]:
        """All measures with their 95% intervals; one that is not defined, also for a half of the sets, is left out."""
        return with_intervals(self.measures, self.groups, seed)


def with_intervals(
    measures: Callable[[Places, Places], Measures], groups: NDArray[np.str_], seed: int
) -> dict[str, Mean]:
    """Measures of both whole sets, and their 95% intervals by halves of each.

    Args:
        measures: Of the generated shapes and the references at some places.
        groups: (n,) of the generated shapes, and of the references.
        seed: Of the halves.
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
            most = 1.0 if name.startswith(SHARES) else np.inf
            found[name] = Mean(value, len(groups), low=float(max(low, 0)), high=float(min(high, most)))
    return found


def half_of(groups: NDArray[np.str_], rng: np.random.Generator) -> Places:
    """Places of a random half, of every group as far as it is even: every second of them in a random order."""
    return np.lexsort((rng.random(len(groups)), groups))[rng.integers(2) :: 2]


def _nearest_is_own(own: Matrix, other: Matrix) -> NDArray[np.float64]:
    """(N,) whether the nearest of the N - 1 others of the own set and the M of the other one is of the own."""
    own = own + np.diag(np.full(len(own), np.inf))
    near_own, near_other = own.min(axis=1), other.min(axis=1)
    right = (near_own < near_other).astype(np.float64)
    for row in np.flatnonzero(near_own == near_other):
        tied = np.count_nonzero(own[row] == near_own[row]), np.count_nonzero(other[row] == near_own[row])
        right[row] = tied[0] / sum(tied)
    return right
