"""`lagem doctor` judges learning rates and short trainings by the losses."""

import math
import re
from pathlib import Path

import pytest
import yaml

from lagem.diagnosis.rate import KNOWN, Curve, judge_overfit, judge_rate

ROOT = Path(__file__).resolve().parents[2]
GOOD = Curve([0.7 * 0.97**step for step in range(80)], 1e-3)
STUCK = Curve([0.7] * 80, 1e-1)
DIVERGED = Curve([0.7, 5.0, 900.0], 1e-1, diverged=True)


def test_the_experiments_lie_in_the_known_range():
    peaks = {}
    for path in sorted((ROOT / "experiments/autoencoder").glob("*.yaml")):
        settings = yaml.safe_load(re.sub(r"\$\{[^}]*\}", "1", path.read_text()))
        trainer, model = settings["trainer"], settings["model"]["init_args"]
        shapes = settings["data"]["init_args"]["batch_size"] * trainer["devices"] * trainer.get("num_nodes", 1)
        peak = model["base_lr"] * shapes * trainer.get("accumulate_grad_batches", 1) / 256
        peaks[path.name] = (model.get("optimizer", "adamw"), peak)
    assert len(peaks) > 10
    assert [name for name, (kind, peak) in peaks.items() if not KNOWN[kind][0] <= peak <= KNOWN[kind][1]] == []


@pytest.mark.parametrize(("optimizer", "peak"), [("muon", 1e-3), ("adamw", 5e-5)])
@pytest.mark.parametrize("factor", [30, 100, 1000])
@pytest.mark.parametrize("curve", [STUCK, DIVERGED, None])
def test_a_rate_that_is_too_high_is_named(optimizer, peak, factor, curve):
    (finding,) = judge_rate(optimizer, peak * factor, 1.0, curve, curve and GOOD)
    assert finding.check == "learning_rate" and finding.is_fault
    assert "too high" in finding.what


@pytest.mark.parametrize("curve", [STUCK, DIVERGED])
def test_a_rate_in_the_known_range_is_named_if_a_tenth_of_it_learns_and_it_does_not(curve):
    (finding,) = judge_rate("adamw", 5e-4, 1.0, curve, GOOD)
    assert finding.severity == "error"


def test_a_working_rate_raises_no_alarm():
    assert judge_rate("muon", 1e-3, 1.0, GOOD, GOOD) == []
    assert judge_rate("muon", 1e-3, 1.0, GOOD, Curve([0.7 * 0.999**step for step in range(80)], 1e-4)) == []


def test_a_rate_that_is_too_low_is_named():
    (finding,) = judge_rate("muon", 1e-6, 1.0, GOOD, GOOD)
    assert "below" in finding.what


def test_a_network_that_memorises_nothing_is_named_only_if_the_rate_is_right():
    (finding,) = judge_overfit(STUCK, None, rate_is_wrong=False)
    assert finding.check == "overfit"
    assert judge_overfit(STUCK, None, rate_is_wrong=True) == [] == judge_overfit(GOOD, GOOD, rate_is_wrong=False)


@pytest.mark.parametrize("losses", [[], [0.7], [0.7] * 30])
def test_a_short_training_that_diverges_is_named_however_early(losses):
    diverged = Curve(losses, 1e-3, diverged=True)
    (finding,) = judge_overfit(GOOD, diverged, rate_is_wrong=False)
    assert "eight shapes" in finding.what and f"step {len(losses) + 1}" in finding.what
    assert "finite" in str(diverged)


def test_a_training_that_diverged_ends_at_infinity():
    assert math.isinf(DIVERGED.final)
