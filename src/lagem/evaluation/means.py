"""Means over shapes and trainings, with 95% intervals that are also suited to skewed values."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lagem.randomness import sample_generator

RESAMPLINGS = 2_000
INTERVAL = (0.025, 0.975)
FEWEST = 8  # smallest number of shapes for which a studentised bootstrap is used
MOST_EQUAL = 0.01  # the bootstrap is used if at most this fraction of the resamplings hold equal values only

Limits = tuple[float, float]  # the smallest and the largest possible value
UNLIMITED: Limits = (-np.inf, np.inf)


@dataclass(frozen=True)
class Mean:
    """A mean over `count` shapes or categories, with its 95% interval from `low` to `high`."""

    value: float
    count: int
    low: float
    high: float


def mean_of(values: NDArray[np.float64], seed: int, *, limits: Limits = UNLIMITED) -> Mean:
    """Return the mean of (N,) values of a single training, N at least 1, with its interval from `mean_over_seeds`."""
    return mean_over_seeds(values[None], seed, limits=limits)


def mean_of_defined(values: Iterable[float | None], seed: int, *, limits: Limits = UNLIMITED) -> Mean | None:
    """Return the mean of the values that are not None; None if there is no such value."""
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    return mean_of(defined, seed, limits=limits) if len(defined) else None


def mean_over_seeds(values: NDArray[np.float64], seed: int, *, limits: Limits = UNLIMITED) -> Mean:
    """Return the mean of values of several trainings, with a 95% interval.

    The interval covers the random choice of shapes and, if there are several trainings, of trainings. It is combined
    from two intervals:

    - The interval over shapes comes from a studentised bootstrap, which is also suited to skewed values. It comes from
      Student's t if there are fewer than FEWEST shapes, or if more than 1% of the resamplings hold equal values only.
    - The interval over trainings comes from Student's t. Its variance is that of the trainings' means, less the part
      that the residuals explain (a two-way analysis of variance over shapes and trainings).

    Shapes and trainings vary independently, so squares add up. If one interval ends at a distance a from the mean, and
    the other at a distance b on the same side, the result ends at sqrt(a^2 + b^2) (MOVER, Zou and Donner 2008).

    Args:
        values: (S, N) values of S trainings, which differ in their seeds, for N shapes; at least one of each.
        seed: Seed of the bootstrap.
        limits: Smallest and largest possible value; the interval is clipped to them.
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
    """Return the 0.025 and 0.975 quantiles of a mean's deviation from the true mean, in units of its standard error.

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
