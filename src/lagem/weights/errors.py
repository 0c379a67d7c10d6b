"""The error for unusable weights, and functions for its message. Importing this module does not import torch."""

from collections.abc import Mapping
from typing import Any

LONGEST_REASON = 200  # characters that an error quotes from torch


class WeightsError(ValueError):
    """Raised for a file without usable weights; the message names the file and the reason."""


def differences(found: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return how `found` differs from the entries of `ours`, such as `width 64, not 128; ...`; empty if it does not."""
    return "; ".join(f"{key} {found.get(key)!r}, not {ours[key]!r}" for key in ours if found.get(key) != ours[key])


def quoted(error: BaseException) -> str:
    """Return the beginning of the first line of a library's error, or the error's type if it has no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:LONGEST_REASON]
