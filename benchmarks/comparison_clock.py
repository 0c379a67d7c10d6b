"""The callback with which `comparison.py` measures the cost of a training step inside `lagem fit`."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from lagem.storage.atomic import write_text

WARM_UP = 3  # steps before the timed ones


class StepClock(Callback):
    """Write the mean seconds per step to a file: CPU seconds, or wall seconds on a GPU.

    The first WARM_UP steps are not timed. A step includes all repeated work: loading the batch, forward and backward
    pass, optimiser and weight average.
    """

    def __init__(self, output: Path) -> None:
        self.output, self._start = output, 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock after the first WARM_UP steps, and stop it after the last step."""
        if trainer.global_step not in (WARM_UP, trainer.max_steps):
            return
        is_gpu = pl_module.device.type == "cuda"
        if is_gpu:
            torch.cuda.synchronize()
        now = time.perf_counter() if is_gpu else time.process_time()
        if trainer.global_step == WARM_UP:
            self._start = now
        else:
            write_text(self.output, str((now - self._start) / (trainer.max_steps - WARM_UP)))
