"""What `lagem fit` says about a resumed schedule; tests/training/test_terminal.py holds the rest of what it prints."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from lagem.modules.optimisers import warmup_cosine
from lagem.training.announcement import schedule_change


def schedule(*, steps: int, total_steps: int) -> LambdaLR:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    made = warmup_cosine(optimizer, warmup_steps=2, total_steps=total_steps, peak_lr=0.3, min_lr=0.01)
    for _ in range(steps):
        optimizer.step()
        made.step()
    return made


@pytest.mark.parametrize("steps", [1, 2, 7, 10])
def test_a_resume_of_the_same_length_changes_nothing(steps):
    resumed = schedule(steps=0, total_steps=10)
    resumed.load_state_dict(schedule(steps=steps, total_steps=10).state_dict())
    assert schedule_change(resumed) is None


@pytest.mark.parametrize("total_steps", [8, 20])
def test_a_resume_of_another_length_names_both_rates(total_steps):
    before, after = schedule(steps=7, total_steps=10), schedule(steps=7, total_steps=total_steps)
    resumed = schedule(steps=0, total_steps=total_steps)
    resumed.load_state_dict(before.state_dict())
    now, saved = after.get_last_lr()[0], before.get_last_lr()[0]
    assert f"is now {now:.3g} instead of {saved:.3g}" in schedule_change(resumed)
