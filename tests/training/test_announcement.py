"""What `lagem fit` says about a resumed schedule and about a training without validation.

tests/training/test_terminal.py holds the rest of what it prints.
"""

import math
import re

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.optim.lr_scheduler import LambdaLR

import small_run
from lagem.cli import main
from lagem.modules.optimisers import warmup_cosine
from lagem.training.announcement import StartBlock, schedule_change


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


class CountsValidations(BoringModel):
    validations = 0

    def on_validation_end(self) -> None:
        self.validations += 1


def fitted(**settings: object) -> CountsValidations:
    """Run a small fit that prints its opening block; an epoch has 64 batches."""
    module = CountsValidations()
    given = {
        "accelerator": "cpu",
        "callbacks": [StartBlock()],
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "limit_val_batches": 1,
        "logger": False,
        "num_sanity_val_steps": 0,
        **settings,
    }
    Trainer(**given).fit(module)
    return module


@pytest.mark.parametrize(
    ("settings", "steps", "each"),
    [
        (["--data.init_args.num_train=11"], 6, 2),
        (["--data.init_args.num_train=23", "--trainer.accumulate_grad_batches=2"], 6, 3),
        (["--data.init_args.num_train=23", "--trainer.limit_train_batches=3"], 7, 3),
        (["--data.init_args.num_train=23", "--trainer.limit_train_batches=0.5"], 4, 2),
        (["--data.init_args.num_train=7"], 3, 1),
    ],
)
def test_the_block_counts_epochs_as_lightning_does(settings, steps, each, capsys, tmp_path):
    options = ["--trainer.callbacks=null", "--trainer.logger=false", "--trainer.limit_val_batches=0"]
    data = [*small_run.SMALL_DATA, *settings]
    cli = main(["fit", "--config", str(small_run.TOY), *small_run.SMALL_MODEL, *data, *options,
                f"--trainer.default_root_dir={tmp_path}", f"--trainer.max_steps={steps}",
                "--trainer.accelerator=cpu"])  # fmt: skip
    found = re.search(r"\((\S+)\s+epochs\s+of\s+(\d+)\s+steps?\)", capsys.readouterr().out)
    assert int(found[2]) == each and float(found[1]) == pytest.approx(steps / each, rel=0.01)
    assert cli.trainer.global_step == steps and cli.trainer.current_epoch == math.ceil(steps / each)


@pytest.mark.parametrize("every", [None, 1])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("interval", [2, 3, 4, 5])
def test_the_block_says_that_there_is_no_validation_exactly_if_none_takes_place(capsys, interval, accumulate, every):
    length = {"max_steps": 2} if every is None else {"max_epochs": 1, "limit_train_batches": 5}
    module = fitted(
        val_check_interval=interval, accumulate_grad_batches=accumulate, check_val_every_n_epoch=every, **length
    )
    assert ("validation  none: " in capsys.readouterr().out) == (module.validations == 0)


def test_the_block_names_the_settings_that_prevent_a_validation(capsys):
    fitted(max_steps=2, val_check_interval=1250, check_val_every_n_epoch=None)
    text = "validation  none: trainer.val_check_interval 1,250 is more than trainer.max_steps 2"
    assert text in capsys.readouterr().out.splitlines()


def test_the_block_does_not_mention_a_validation_that_is_turned_off(capsys):
    fitted(max_steps=2, val_check_interval=3, check_val_every_n_epoch=None, limit_val_batches=0)
    assert "validation" not in capsys.readouterr().out
