"""The progress of a fit; tests/training/test_terminal.py holds what it looks like."""

import re
import time

from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from lagem.training.progress import RunProgress


class LongValidation(BoringModel):
    """Validates for longer than it trains."""

    def on_train_start(self) -> None:
        self.started = time.monotonic()

    def on_validation_epoch_start(self) -> None:
        self.ended = time.monotonic()
        time.sleep(2 * (self.ended - self.started) + 0.1)


class ScoredValidation(BoringModel):
    """Has a loss equal to the number of steps so far, which the progress shows, and a score that it does not show."""

    def validation_step(self, batch, batch_idx) -> None:
        self.log("val/loss", float(self.global_step), prog_bar=True)
        self.log("val/loss_sigma_1", 1.0)


def fit(module: BoringModel, steps: int, **options: int) -> None:
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[RunProgress()],
        check_val_every_n_epoch=None,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        max_steps=steps,
        val_check_interval=3,
        **options,
    )
    trainer.fit(module)


def test_a_validation_after_the_last_step_does_not_change_the_rate_of_the_steps(capsys):
    module = LongValidation()
    start = time.monotonic()
    fit(module, 3, num_sanity_val_steps=0)
    rate = re.search(r"^train 3/3 ([\d.]+)/s ", capsys.readouterr().out, re.MULTILINE)
    assert float(rate[1]) + 0.005 >= 3 / (module.ended - start)


def test_each_validation_but_the_check_prints_its_scores(capsys):
    fit(ScoredValidation(), 6)
    lines = re.findall(r"^validation.*", capsys.readouterr().out, re.MULTILINE)
    assert lines == ["validation after step 3: loss 3", "validation after step 6: loss 6"]
