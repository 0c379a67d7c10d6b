"""Check that the learning rate is in the range in which trainings of this kind work.

The peak learning rate is compared with rates that are known to work for the same optimiser. In addition, the losses of
two short trainings on one shape are compared: at the configured rate, and at a tenth of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lagem.diagnosis.finding import MOST_CONFIDENT, Finding

# lowest and highest peak rate known to work: the rates in experiments/, with some room for other networks
KNOWN = {"muon": (1e-4, 6e-3), "adamw": (5e-7, 1e-3)}
UNTRAINED = math.log(2)  # cross entropy of a network that knows nothing, with balanced queries
TAIL = 8  # the final loss is the median over this number of last steps
LEAST_STEPS = 20  # with fewer, nothing can be said about a loss that does not fall
WORSE = 1.5  # ratio of final losses above which a tenth of the rate counts as better


@dataclass(frozen=True)
class Curve:
    """The losses of a short training on fixed shapes.

    losses: One loss per step; they end early if the training diverged or reached its deadline.
    rate: Peak learning rate of the training.
    diverged: Whether a loss or a gradient was not finite.
    """

    losses: Sequence[float]
    rate: float
    diverged: bool = False

    @property
    def final(self) -> float:
        """Median loss of the last steps; infinite if the training diverged."""
        return math.inf if self.diverged or not self.losses else float(np.median(self.losses[-TAIL:]))

    @property
    def worst(self) -> float:
        """Highest loss; infinite if the training diverged."""
        return math.inf if self.diverged else max(self.losses, default=math.inf)

    def __str__(self) -> str:
        """Say in words how the loss changed."""
        if not self.losses:
            return "no step with a finite loss" if self.diverged else "no step"
        last = "not finite" if self.diverged else f"{self.final:.3f}"
        return f"{len(self.losses)} steps, loss {self.losses[0]:.3f} to {last}"


def judge_rate(optimizer: str, peak: float, base: float, curve: Curve | None, tenth: Curve | None) -> list[Finding]:
    """Report a learning rate that is too high or too low.

    Args:
        optimizer: `muon` or `adamw`.
        peak: The peak learning rate of the configured training.
        base: model.init_args.base_lr, to which the peak is proportional.
        curve: A short training on one shape at the configured rate; None if there was none.
        tenth: A short training on one shape at a tenth of the configured rate; None if there was none.
    """
    low, high = KNOWN[optimizer]
    worse = bool(curve and tenth and curve.final > WORSE * tenth.final and curve.final > 0.1)
    unlearnt = bool(curve and curve.final > 0.9 * UNTRAINED)
    if peak <= high and not (worse and unlearnt) and peak >= low:
        return []
    evidence = {"optimizer": optimizer, "peak_lr": peak, "base_lr": base, "known_range": [low, high]}
    shown = ""
    if curve and tenth:
        evidence |= {"loss_at_rate": _plain(curve.final), "loss_at_a_tenth": _plain(tenth.final)}
        shown = (
            f" A short training on one shape ends at a loss of {_words(curve)}; at a tenth of the rate, it ends at "
            f"{_words(tenth)}."
        )
    middle = math.sqrt(low * high)
    if peak < low:
        return [
            Finding(
                check="learning_rate",
                severity="warning",
                confidence=0.8 if peak < low / 10 else 0.5,
                what=f"The peak learning rate {peak:.2g} is below those that are known to work with {optimizer} "
                f"({low:.2g} to {high:.2g}).{shown}",
                advice=f"Raise model.init_args.base_lr from {base:.2g} to about {base * middle / peak:.2g}.",
                evidence=evidence,
            )
        ]
    beyond = peak / high
    sure = MOST_CONFIDENT if worse and beyond > 1 else 0.9 if beyond > 3 or worse else 0.6
    known = f"it is {beyond:.0f} times the highest rate" if beyond >= 1.5 else "compare it with the rates"
    return [
        Finding(
            check="learning_rate",
            severity="error" if worse or beyond > 3 else "warning",
            confidence=sure,
            what=f"The peak learning rate {peak:.2g} is too high: {known} known to work with {optimizer} "
            f"({low:.2g} to {high:.2g}).{shown}",
            advice=f"Lower model.init_args.base_lr from {base:.2g} to about {base * min(middle / peak, 0.1):.2g}.",
            evidence=evidence,
        )
    ]


def judge_overfit(one: Curve, eight: Curve | None, *, rate_is_wrong: bool) -> list[Finding]:
    """Report if the loss does not fall, or is not finite, in a short training on one shape or on eight.

    Nothing is reported if the rate is wrong.
    """
    findings: list[Finding] = []
    for count, curve in (("one shape", one), ("eight shapes", eight)):
        if curve is None or rate_is_wrong:
            continue
        if curve.diverged:
            step = len(curve.losses) + 1
            what = f"The loss on {count} or its gradient is not finite in step {step} on the same samples."
        elif len(curve.losses) >= LEAST_STEPS and curve.final >= 0.97 * curve.losses[0]:
            what = (
                f"The loss on {count} does not fall: {curve.losses[0]:.3f} at first, {curve.final:.3f} after "
                f"{len(curve.losses)} steps on the same samples."
            )
        else:
            continue
        findings.append(
            Finding(
                check="overfit",
                severity="error",
                confidence=0.9,
                what=what,
                advice="Compare the model's settings with those of an experiment that works (start, width, levels, "
                "near_weight); look at the samples with `lagem inspect` and `lagem view`.",
                evidence={"losses": [round(loss, 4) for loss in curve.losses]},
            )
        )
    return findings


def _words(curve: Curve) -> str:
    return "NaN" if curve.diverged else f"{curve.final:.3f}"


def _plain(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
