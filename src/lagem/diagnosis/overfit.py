"""Short trainings on a few shapes, with the training step, optimiser and gradient clipping of the experiment."""

import copy
import time
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from lagem.diagnosis.rate import Curve
from lagem.diagnosis.subject import Subject, accelerator_here, quiet
from lagem.modules.recipe import NonFiniteLossError
from lagem.samples import OccupancyBatch

WARMUP = 0.15  # fraction of the steps in which the learning rate warms up


class _SameBatch(LightningDataModule):
    """A data module that yields the same batch in every step."""

    def __init__(self, batch: OccupancyBatch, *, steps: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self._batch, self._steps = batch, steps
        self.batch_size, self.seed = batch_size, seed  # the training recipe reads them

    def train_dataloader(self) -> DataLoader[OccupancyBatch]:
        same: Any = [self._batch] * self._steps
        return DataLoader(same, batch_size=None)

    def transfer_batch_to_device(
        self, batch: OccupancyBatch, device: torch.device, dataloader_idx: int
    ) -> OccupancyBatch:
        return batch.to(device)


class _Watch(Callback):
    """A callback that records the loss and the time of each step, and stops the training at a deadline."""

    def __init__(self, deadline: float) -> None:
        self.losses: list[float] = []
        self.times: list[float] = []
        self._deadline = deadline

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.losses.append(float(loss))
        self.times.append(time.monotonic())
        trainer.should_stop = trainer.should_stop or time.monotonic() > self._deadline


def overfit(
    subject: Subject, batch: OccupancyBatch, *, steps: int, factor: float = 1.0, deadline: float
) -> tuple[Curve, float]:
    """Train a copy of the untrained model on one batch, and return the losses.

    Args:
        subject: The experiment.
        batch: The batch to train on in every step.
        steps: Number of optimiser steps, including the warm-up.
        factor: The configured learning rate is multiplied by this factor.
        deadline: Time on the monotonic clock at which the training stops.

    Returns:
        The losses, and the median duration of a step in seconds.
    """
    module = copy.deepcopy(subject.module)
    module.base_lr *= factor
    module.min_lr *= factor
    module.warmup_steps = max(1, round(WARMUP * steps))
    module.on_non_finite = "stop"
    peak = module.base_lr * subject.effective_batch / 256
    watch, settings = _Watch(deadline), subject.settings.trainer
    accelerator = accelerator_here(subject.settings)
    precision = str(settings.precision or "32-true") if accelerator != "cpu" else "32-true"
    data = _SameBatch(
        batch, steps=steps, batch_size=subject.effective_batch, seed=int(getattr(subject.data, "seed", 0))
    )
    diverged = False
    with quiet():
        trainer = Trainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,  # type: ignore[arg-type]
            max_steps=steps,
            gradient_clip_val=settings.gradient_clip_val,
            gradient_clip_algorithm=settings.gradient_clip_algorithm,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
            use_distributed_sampler=False,
        )
        try:
            trainer.fit(module, data)
        except NonFiniteLossError:
            diverged = True
    gaps = sorted(b - a for a, b in zip(watch.times, watch.times[1:], strict=False))
    return Curve(watch.losses, peak, diverged), gaps[len(gaps) // 2] if gaps else float("nan")
