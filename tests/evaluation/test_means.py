"""Means over shapes and trainings: their intervals contain the true mean as often as stated, also for skewed values."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from lagem.evaluation.means import mean_of, mean_over_seeds

SHAPES, TRAININGS, TRIES = 60, 3, 100


def normal(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=SHAPES)


def skewed(rng: np.random.Generator) -> np.ndarray:
    """Return values that are distributed like Chamfer distances: a few shapes are far worse than the others."""
    return (rng.lognormal(size=SHAPES) - np.exp(0.5)) / 2.16


def width(values: np.ndarray) -> float:
    mean = mean_over_seeds(values, 0)
    return mean.high - mean.low


@pytest.mark.parametrize("shapes", [normal, skewed])
@pytest.mark.parametrize("of_training", [0.0, 0.3])
def test_intervals_hold_the_true_mean_about_95_times_in_100(shapes: Callable, of_training: float):
    """The true mean is 0, and shapes have a standard deviation of 1.

    Each training shifts all its values by the same random number and adds noise to each value.
    """
    rng, held = np.random.default_rng(0), 0
    for _ in range(TRIES):
        values = shapes(rng) + of_training * rng.normal(size=(TRAININGS, 1)) + rng.normal(size=(TRAININGS, SHAPES)) / 2
        mean = mean_over_seeds(values, 0)
        held += mean.low <= 0 <= mean.high
    assert held / TRIES > 0.88


def test_trainings_that_differ_widen_the_interval():
    values = np.tile(np.random.default_rng(0).normal(size=SHAPES), (TRAININGS, 1))
    apart = values + np.array([[-0.3], [0.0], [0.3]])
    assert width(apart) > 2 * width(values)
    assert mean_over_seeds(apart, 0).value == pytest.approx(values.mean())


def test_equal_trainings_have_the_interval_of_one():
    values = np.random.default_rng(0).normal(size=(1, SHAPES))
    one, three = mean_over_seeds(values, 0), mean_over_seeds(np.tile(values, (TRAININGS, 1)), 0)
    assert (three.low, three.high) == pytest.approx((one.low, one.high))


def test_an_interval_reaches_farther_towards_the_long_tail():
    mean = mean_over_seeds(skewed(np.random.default_rng(0))[None], 0)
    assert mean.high - mean.value > 1.2 * (mean.value - mean.low)


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.7], [*[1.0] * 9, 0.2]])
def test_few_shapes_and_shapes_of_which_most_are_equal_have_the_interval_of_student(values):
    """Many resamplings of these values would draw equal values only, so that their standard error would be 0."""
    mean, expected = (
        mean_of(np.array(values), 0),
        scipy.stats.t(len(values) - 1, np.mean(values), scipy.stats.sem(values)),
    )
    assert (mean.low, mean.high) == pytest.approx(expected.interval(0.95))


def test_an_interval_ends_at_the_limits():
    mean = mean_of(np.array([0.9, 1.0, 0.2]), 0, limits=(0, 1))
    assert (mean.low, mean.high) == (0, 1)


def test_one_shape_and_one_training_have_no_interval():
    mean = mean_over_seeds(np.array([[2.0]]), 0)
    assert (mean.value, mean.low, mean.high, mean.count) == (2.0, 2.0, 2.0, 1)


def test_values_without_variation_have_an_interval_of_no_width():
    mean = mean_over_seeds(np.full((TRAININGS, SHAPES), 0.25), 0)
    assert (mean.low, mean.high) == pytest.approx((0.25, 0.25))
