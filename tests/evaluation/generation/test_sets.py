"""MMD, COV, 1-NNA, diversity and the proportion of copies, for sets from one distribution and for sets far apart.

Points in the plane represent shapes; all measures depend on their distances only.
"""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lagem.evaluation.generation import sets
from lagem.evaluation.generation.sets import (
    ComparedSets,
    SetDistances,
    diversity,
    half_of,
    one_nearest_neighbour_accuracy,
    published_measures,
)
from lagem.evaluation.generation.shares import share_of


def distances(generated: np.ndarray, references: np.ndarray) -> SetDistances:
    return SetDistances(cdist(generated, generated), cdist(generated, references), cdist(references, references))


def measured(generated: np.ndarray, references: np.ndarray) -> tuple[float, float, float]:
    return tuple(published_measures(distances(generated, references), "d").values())


def compared(generated: np.ndarray, references: np.ndarray, groups: list[str]) -> ComparedSets:
    found = distances(generated, references)
    return ComparedSets(np.array(groups), found, {"chamfer": found})


def test_copies_match_and_cover_all_and_their_nearest_neighbours_are_in_the_other_set():
    shapes = np.random.default_rng(0).normal(size=(40, 2))
    assert measured(shapes, shapes) == (0, 1, 0)


def test_samples_of_one_distribution_have_a_1_nna_near_a_half():
    """All 2 n shapes are exchangeable, so the expected 1-NNA is (n - 1) / (2 n - 1), which is 0.497 for n = 100.

    The 1-NNA of two sets of 100 shapes has a standard deviation below 0.06 (measured: 0.05). So the mean of 30 pairs of
    sets deviates from the expected value by less than 4 standard deviations of 0.06 / sqrt(30).
    """
    rng = np.random.default_rng(0)
    found = [measured(rng.normal(size=(100, 2)), rng.normal(size=(100, 2)))[2] for _ in range(30)]
    assert np.mean(found) == pytest.approx(99 / 199, abs=4 * 0.06 / np.sqrt(30))


def test_sets_far_apart_are_distinguished_and_cover_little():
    rng = np.random.default_rng(0)
    matching, coverage, accuracy = measured(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + np.array([100, 0]))
    assert accuracy == 1 and coverage < 0.1
    assert matching == pytest.approx(100, abs=6)


@pytest.mark.parametrize("spread", [0, 1e-3])
def test_a_collapsed_set_covers_one_reference(spread):
    rng = np.random.default_rng(0)
    references = np.stack([np.arange(20.0), np.zeros(20)], axis=1)
    matching, coverage, accuracy = measured(references[7] + spread * rng.random((20, 2)) / 2, references)
    assert coverage == 1 / 20
    assert matching == pytest.approx(sum(abs(place - 7) for place in range(20)) / 20, abs=2e-3)
    # the copies are nearest to one another; if they lie on reference 7, 19 of the 20 nearest are copies
    assert accuracy >= (20 * 19 / 20 + 19 - 2) / 40


def test_measures_equal_a_simple_loop():
    rng = np.random.default_rng(0)
    generated, references = rng.integers(4, size=(2, 12, 2)).astype(float)  # on a grid, so there are ties
    found = distances(generated, references)
    matching, covered, right = 0.0, set(), 0.0
    for reference in references:
        matching += min(np.linalg.norm(reference - shape) for shape in generated) / 12
    for shape in generated:
        covered.add(min(range(12), key=lambda place: np.linalg.norm(shape - references[place])))
    everything = [(shape, "g") for shape in generated] + [(shape, "r") for shape in references]
    for place, (shape, own) in enumerate(everything):
        others = [(np.linalg.norm(shape - other), of) for j, (other, of) in enumerate(everything) if j != place]
        nearest = [of for distance, of in others if distance == min(others)[0]]
        right += nearest.count(own) / len(nearest) / 24
    assert published_measures(found, "d") == pytest.approx(
        {"mmd_d": matching, "coverage_d": len(covered) / 12, "one_nna_d": right}
    )


def test_diversity_is_the_mean_over_pairs_of_one_group():
    shapes, groups = np.random.default_rng(0).normal(size=(7, 2)), np.array(list("aabbbcb"))
    pairs = [
        np.linalg.norm(shapes[i] - shapes[j]) for i, j in itertools.combinations(range(7), 2) if groups[i] == groups[j]
    ]
    assert diversity(cdist(shapes, shapes), groups) == pytest.approx(np.mean(pairs))


def test_half_as_much_spread_is_half_the_diversity():
    shapes = np.random.default_rng(0).normal(size=(60, 2))
    found = compared(shapes / 2, shapes, ["a"] * 30 + ["b"] * 30).measures_with_intervals(0)
    assert found["diversity_ratio"].value == pytest.approx(0.5)
    assert found["diversity_ratio"].low < 0.5 < found["diversity_ratio"].high


def test_a_half_holds_half_of_every_group_and_nothing_twice():
    groups, rng = np.array(["a"] * 7 + ["b"] * 2 + ["c"] * 10), np.random.default_rng(0)
    for half in (half_of(groups, rng) for _ in range(50)):
        assert len(set(half)) == len(half)
        counts = [np.count_nonzero(groups[half] == group) for group in "abc"]
        assert counts[0] in (3, 4) and counts[1] == 1 and counts[2] == 5


def test_intervals_hold_the_mean_of_sets_of_that_size(monkeypatch):
    """At least 52 of 60 intervals contain the mean. With the nominal probability of 0.95 each, this fails in under 1%.

    The actual probability is 0.96 to 0.99 for MMD, COV and 1-NNA, and 0.92 to 0.98 for the diversity (see the docstring
    of `lagem.evaluation.generation.sets`).
    """
    monkeypatch.setattr(sets, "HALVES", 100)
    rng = np.random.default_rng(0)
    drawn = [
        compared(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 0.5, ["a"] * 50).measures_with_intervals(seed)
        for seed in range(60)
    ]
    for name in ("mmd_chamfer", "coverage_chamfer", "one_nna_chamfer", "diversity_ratio"):
        mean = np.mean([found[name].value for found in drawn])
        spread = np.std([found[name].value for found in drawn])
        assert sum(found[name].low <= mean <= found[name].high for found in drawn) >= 52
        widths = [(found[name].high - found[name].low) / (2 * 1.96) for found in drawn]
        assert 0.8 * spread < np.mean(widths) < 2 * spread


def test_a_bootstrap_with_copies_would_leave_the_value_and_halves_do_not():
    rng = np.random.default_rng(0)
    found = distances(*rng.normal(size=(2, 60, 2)))
    value = one_nearest_neighbour_accuracy(found)
    twice = [
        one_nearest_neighbour_accuracy(found.chosen(rng.integers(60, size=60), rng.integers(60, size=60)))
        for _ in range(50)
    ]
    assert min(twice) > value + 0.1  # see the docstring of `sets`


def test_measures_of_a_single_pair_have_no_interval_and_no_diversity():
    found = compared(np.zeros((1, 2)), np.ones((1, 2)), ["a"]).measures_with_intervals(0)
    assert set(found) == {"mmd_chamfer", "coverage_chamfer", "one_nna_chamfer"}
    assert (found["mmd_chamfer"].low, found["mmd_chamfer"].high) == pytest.approx((2**0.5, 2**0.5))


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # z² / (n + z²)
        (10, 10, 0.7225, 1.0),
        (15, 50, 0.1910, 0.4375),
        (1, 29, 0.0061, 0.1718),  # Newcombe 1998, table I
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
    ],
)
def test_wilson_intervals_are_those_of_the_literature(successes, count, low, high):
    found = share_of(successes, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
