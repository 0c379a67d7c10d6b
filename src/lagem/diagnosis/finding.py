"""What a diagnosis finds: each finding says what is wrong, how sure that is, and what to change."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from lagem.signals import stop_behind

Check = Literal[
    "values",
    "normals",
    "labels",
    "frame",
    "balance",
    "split",
    "learning_rate",
    "overfit",
    "precision",
    "loader",
    "memory",
]
Severity = Literal["error", "warning", "note"]

ALARM = 1e-6  # a test raises an alarm if its p-value, the probability of such a result in healthy data, is smaller
MOST_OF_A_REASON = 300  # characters
MOST_CONFIDENT = 0.999  # upper limit of confidences: a finding may have a cause that its test does not consider


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault, or one remark.

    check: The check that found it.
    severity: `error` for what spoils a training, `warning` for what probably does, `note` for what is worth knowing.
        A diagnosis with only notes counts as healthy.
    confidence: Probability that the finding is right, in [0, 1].
    what: What is wrong, and the values that were measured.
    advice: What to change.
    evidence: The measured numbers, in plain types.
    """

    check: Check
    severity: Severity
    confidence: float
    what: str
    advice: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_fault(self) -> bool:
        """Whether the finding is an error or a warning, not a note."""
        return self.severity != "note"


@contextmanager
def failure_found(findings: list[Finding], check: Check, what: str) -> Iterator[None]:
    """If the block raises an exception, add a finding that says so, so that the findings of other tests are not lost.

    A signal that stops the command is raised again.

    Args:
        findings: The list to which the finding is added.
        check: The check that the block carries out.
        what: What the block tests, in the plural.
    """
    try:
        yield
    except Exception as error:
        if stop_behind(error) is not None:
            raise
        reason = " ".join(str(error).split())[:MOST_OF_A_REASON]
        findings.append(
            Finding(
                check=check,
                severity="warning",
                confidence=MOST_CONFIDENT,
                what=f"{what} could not be tested: {type(error).__name__}{f': {reason}' if reason else ''}",
                advice="Mend the other faults first, and run `lagem doctor` again. If this is the only one, please "
                "report it; the JSON file holds the traceback.",
                evidence={"traceback": traceback.format_exc()},
            )
        )


def confidence_of(p_value: float) -> float:
    """Return the confidence of an alarm: 1 minus its p-value, but at most MOST_CONFIDENT.

    The p-value is the probability that healthy data would raise the alarm.
    """
    return min(1 - p_value, MOST_CONFIDENT)


def listed(ids: list[str], most: int = 5) -> str:
    """Return the first ids in words, such as `a, b and 3 more`."""
    shown = ", ".join(f"{id:.60}" for id in ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
