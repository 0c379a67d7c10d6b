"""Tests of the precision that a run uses if its configuration does not set one."""

from pathlib import Path

import pytest
import torch
import yaml

from lagem.training.trainer import precision_for

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.mark.parametrize(
    ("accelerator", "has_gpu", "has_bf16", "expected"),
    [
        ("cpu", True, True, "32-true"),
        ("auto", False, False, "32-true"),
        ("auto", True, True, "bf16-mixed"),
        ("gpu", True, True, "bf16-mixed"),
        ("gpu", True, False, "32-true"),
    ],
)
def test_precision_follows_the_device(monkeypatch, accelerator, has_gpu, has_bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert precision_for(accelerator) == expected


def test_no_experiment_for_the_cpu_asks_for_bfloat16():
    found = 0
    for folder in ("autoencoder", "cascade"):
        for path in (EXPERIMENTS / folder).rglob("*.yaml"):
            trainer = yaml.safe_load(path.read_text())["trainer"]
            if trainer.get("accelerator") == "cpu":
                found += 1
                assert trainer["precision"] is None, path
    assert found
