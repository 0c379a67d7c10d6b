"""Means with bootstrap intervals."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.randomness import sample_generator

RESAMPLINGS = 2_000
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Mean:
    """A mean over `count` shapes or categories, with its 95% percentile bootstrap interval."""

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
