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


def test_a_validation_after_the_last_step_does_not_change_the_rate_of_the_steps(capsys):
    module = LongValidation()
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[RunProgress()],
        check_val_every_n_epoch=None,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        max_steps=3,
        num_sanity_val_steps=0,
        val_check_interval=3,
    )
    start = time.monotonic()
    trainer.fit(module)
    rate = re.search(r"^train 3/3 ([\d.]+)/s ", capsys.readouterr().out, re.MULTILINE)
    assert float(rate[1]) + 0.005 >= 3 / (module.ended - start)
