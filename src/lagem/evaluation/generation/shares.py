"""Shares of shapes, with their Wilson intervals."""

from dataclasses import dataclass
from math import sqrt

NORMAL_975 = 1.959963984540054  # quantile of the standard normal distribution


@dataclass(frozen=True)
class Share:
    """So many of so many, as a share in [0, 1], with its 95% interval."""

    value: float
    successes: int
    count: int
    low: float
    high: float


def share_of(successes: int, count: int) -> Share:
    """A share with Wilson's interval (1927), which stays in [0, 1] and is no point at 0 or 1.

    Args:
        successes: Of that kind.
        count: All, at least 1.
    """
    value, z2 = successes / count, NORMAL_975**2
    center = (value + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_975 * sqrt(value * (1 - value) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return Share(value, successes, count, low=max(center - half, 0.0), high=min(center + half, 1.0))
