"""Means with bootstrap intervals."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lagem.randomness import sample_generator

RESAMPLINGS = 2_000
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Mean:
    """A mean over `count` shapes or categories, with its 95% bootstrap interval."""

    value: float
    count: int
    low: float
    high: float


def mean_of(values: NDArray[np.float64], seed: int) -> Mean:
    """Return the mean of one or more values, with its percentile bootstrap interval."""
    rng = sample_generator(seed, 0, "bootstrap")
    resampled = values[rng.integers(len(values), size=(RESAMPLINGS, len(values)))].mean(axis=1)
    low, high = np.quantile(resampled, INTERVAL)
    return Mean(value=float(values.mean()), count=len(values), low=float(low), high=float(high))


def mean_of_defined(values: Iterable[float | None], seed: int) -> Mean | None:
    """Return the mean of the values that are not None; None if there is no such value."""
    defined = np.array([value for value in values if value is not None], dtype=np.float64)
    return mean_of(defined, seed) if len(defined) else None


def mean_over_seeds(values: NDArray[np.float64], seed: int) -> Mean:
    """Return the mean of values of several trainings, with an interval that holds for new shapes and new trainings.

    A studentised bootstrap over shapes gives one interval, which holds for skewed values too. Student's t gives another
    for the part of the trainings' variance that is not explained by chance within a shape (a two-way analysis of
    variance). Each side of the result is the root of the sum of their squared distances from the mean, because shapes
    and trainings vary independently (MOVER, Zou and Donner 2008). With one training, the interval holds for new shapes
    only.

    Args:
        values: (S, N) values of S trainings, which differ in their seeds, for N shapes; at least one of each.
        seed: Seed of the bootstrap.
    """
    trainings, count = values.shape
    of_shapes, mean = values.mean(axis=0), float(values.mean())
    below = above = 0.0
    if count > 1 and (error := of_shapes.std(ddof=1) / np.sqrt(count)) > 0:
        rng = sample_generator(seed, 0, "bootstrap")
        resampled = of_shapes[rng.integers(count, size=(RESAMPLINGS, count))]
        errors = resampled.std(axis=1, ddof=1) / np.sqrt(count)
        varied = errors > 1e-6 * error  # not one shape again and again, as often happens if there are few
        low, high = np.quantile((resampled.mean(axis=1) - mean)[varied] / errors[varied], INTERVAL)
        below, above = high * error, -low * error
    if trainings > 1:
        of_trainings = values.mean(axis=1, keepdims=True)
        rest = values - of_shapes - of_trainings + mean
        by_chance = (rest**2).sum() / ((trainings - 1) * max(count - 1, 1)) / count
        error = np.sqrt(max(of_trainings.var(ddof=1) - by_chance, 0.0) / trainings)
        distance = student.ppf(INTERVAL[1], trainings - 1) * error
        below, above = np.hypot(below, distance), np.hypot(above, distance)
    return Mean(value=mean, count=count, low=mean - float(below), high=mean + float(above))
