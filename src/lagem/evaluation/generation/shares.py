"""Proportions of samples that have some property, with Wilson intervals."""

from dataclasses import dataclass
from math import sqrt

NORMAL_975 = 1.959963984540054  # 0.975 quantile of the standard normal distribution


@dataclass(frozen=True)
class ShareOfSamples:
    """The proportion `successes` / `count`, with its 95% interval from `low` to `high`."""

    value: float
    successes: int
    count: int
    low: float
    high: float


def share_of(successes: int, count: int) -> ShareOfSamples:
    """Return a proportion with Wilson's interval (1927).

    The interval stays in [0, 1], and its width is positive even if the proportion is 0 or 1.

    Args:
        successes: Number of samples that have the property.
        count: Total number of samples, at least 1.
    """
    value, z2 = successes / count, NORMAL_975**2
    center = (value + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_975 * sqrt(value * (1 - value) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return ShareOfSamples(value, successes, count, low=max(center - half, 0.0), high=min(center + half, 1.0))
