"""The error for unusable weights and the parts of its message, without torch, so that a mistake is reported at once."""

from collections.abc import Mapping
from typing import Any

LONGEST_REASON = 200  # characters that an error quotes from torch


class WeightsError(ValueError):
    """Raised for a file without usable weights; the message names the file and the reason."""


def differences(found: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Return how a description differs from ours, for example `width 64, not 128; ...`; empty if they agree."""
    return "; ".join(f"{key} {found.get(key)!r}, not {ours[key]!r}" for key in ours if found.get(key) != ours[key])


def quoted(error: BaseException) -> str:
    """Return the beginning of the first line of a library's error, or the error's type if it has no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:LONGEST_REASON]
