"""The warm-up and the cosine schedule have the right values at steps that are easy to calculate by hand."""

import math

import pytest
import torch

from lagem.modules.optimisers import warmup_cosine


def rates(*, warmup_steps: int, total_steps: int, peak_lr: float, min_lr: float, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak_lr)
    schedule = warmup_cosine(
        optimizer, warmup_steps=warmup_steps, total_steps=total_steps, peak_lr=peak_lr, min_lr=min_lr
    )
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_rate_rises_in_equal_steps_then_falls_as_a_half_cosine_to_the_minimum():
    found = rates(warmup_steps=4, total_steps=104, peak_lr=1.0, min_lr=0.1, steps=110)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4] == pytest.approx(1.0)
    assert found[54] == pytest.approx(0.55)  # half-way
    assert found[29] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert found[104:] == pytest.approx([0.1] * 6)


def test_no_warmup_starts_at_the_peak():
    assert rates(warmup_steps=0, total_steps=10, peak_lr=2.0, min_lr=0.0, steps=1) == [2.0]


def test_a_peak_of_zero_stays_zero():
    assert rates(warmup_steps=0, total_steps=10, peak_lr=0.0, min_lr=0.0, steps=3) == [0.0, 0.0, 0.0]
