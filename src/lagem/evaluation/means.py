"""Means over shapes and trainings, with 95% intervals that hold for skewed values too."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lagem.randomness import sample_generator

RESAMPLINGS = 2_000
INTERVAL = (0.025, 0.975)
FEWEST = 8  # shapes for a studentised bootstrap
MOST_EQUAL = 0.01  # fraction of the resamplings without any variation

Limits = tuple[float, float]  # the smallest and the largest possible value
UNLIMITED: Limits = (-np.inf, np.inf)


@dataclass(frozen=True)
class Mean:
    """A mean over `count` shapes or categories, with its 95% interval."""

    value: float
    count: int
    low: float
    high: float


def mean_of(values: NDArray[np.float64], seed: int, *, limits: Limits = UNLIMITED) -> Mean:
    """Return the mean of one or more values of one training, as `mean_over_seeds` does."""
    return mean_over_seeds(values[None], seed, limits=limits)


def mean_of_defined(values: Iterable[float | None], seed: int, *, limits: Limits = UNLIMITED) -> Mean | None:
    """Return the mean of the values that are not None; None if there is no such value."""
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    return mean_of(defined, seed, limits=limits) if len(defined) else None


def mean_over_seeds(values: NDArray[np.float64], seed: int, *, limits: Limits = UNLIMITED) -> Mean:
    """Return the mean of values of several trainings, with an interval that holds for new shapes and new trainings.

    A studentised bootstrap over shapes gives one interval, which holds for skewed values too. If there are fewer than
    FEWEST shapes, or most values are equal, too few resamplings differ, and Student's t gives it instead. Student's t
    gives another interval for the part of the trainings' variance that is not explained by chance within a shape (a
    two-way analysis of variance). Each side of the result is the root of the sum of their squared distances from the
    mean, because shapes and trainings vary independently (MOVER, Zou and Donner 2008). With one training, the interval
    holds for new shapes only.

    Args:
        values: (S, N) values of S trainings, which differ in their seeds, for N shapes; at least one of each.
        seed: Seed of the bootstrap.
        limits: The interval ends there at the latest.
    """
    trainings, count = values.shape
    of_shapes, mean = values.mean(axis=0), float(values.mean())
    below = above = 0.0
    if count > 1 and (error := of_shapes.std(ddof=1) / np.sqrt(count)) > 0:
        low, high = _quantiles(of_shapes, error, seed)
        below, above = high * error, -low * error
    if trainings > 1:
        of_trainings = values.mean(axis=1, keepdims=True)
        rest = values - of_shapes - of_trainings + mean
        by_chance = (rest**2).sum() / ((trainings - 1) * max(count - 1, 1)) / count
        error = np.sqrt(max(of_trainings.var(ddof=1) - by_chance, 0.0) / trainings)
        distance = student.ppf(INTERVAL[1], trainings - 1) * error
        below, above = np.hypot(below, distance), np.hypot(above, distance)
    low, high = np.clip([mean - below, mean + above], *limits)
    return Mean(value=mean, count=count, low=float(low), high=float(high))


def _quantiles(values: NDArray[np.float64], error: float, seed: int) -> NDArray[np.float64]:
    """Return the quantiles INTERVAL of the deviations of a mean, in units of its standard error.

    Args:
        values: (N,) values, not all equal.
        error: Standard error of their mean.
        seed: Seed of the bootstrap.
    """
    if (count := len(values)) >= FEWEST:
        rng = sample_generator(seed, 0, "bootstrap")
        resampled = values[rng.integers(count, size=(RESAMPLINGS, count))]
        errors = resampled.std(axis=1, ddof=1) / np.sqrt(count)
        varied = errors > 1e-6 * error
        if varied.mean() >= 1 - MOST_EQUAL:
            deviations = resampled.mean(axis=1) - values.mean()
            return np.quantile(deviations[varied] / errors[varied], INTERVAL)
    found: NDArray[np.float64] = student.ppf(INTERVAL, count - 1)
    return found
