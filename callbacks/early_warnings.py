"""Warn early about a training that does not learn: a flat loss, collapsed latents, or a level that is not used."""

import math
import sys
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lagem.callbacks.protocols import EncodesShapes
from lagem.samples import OccupancyBatch

# B shapes, Q queries

FIRST, LAST = 20, 100  # the mean losses of the first 20 and the last 100 of the batches are compared
LEAST_FALL = 0.03  # smallest fraction by which the loss of a healthy training falls
SHAPES, QUERIES = 4, 512
COLLAPSED = 0.02  # smallest healthy change of latents from shape to shape, relative to their size
UNUSED = 0.02  # smallest healthy change of logits without a level, relative to their spread


class EarlyWarnings(Callback):
    """Print one line for each sign that a training does not learn.

    `lagem fit` adds this callback by itself. The signs are: the loss has not fallen; the latents of a level are the
    same for all shapes; the predicted occupancies do not depend on the latents of a level. Latents are measured on a
    few shapes of the current batch, without changing the training. They are not measured if the weights are sharded.
    The loss may stay flat in a training that resumes or starts from trained weights (`init_from`).

    Args:
        after: Number of batches after which the loss must have fallen.
        every: Number of steps from one measurement of the latents to the next; the first is after `2 * every` steps.
    """

    def __init__(self, *, after: int = 400, every: int = 500) -> None:
        super().__init__()
        if after < FIRST + LAST:
            raise ValueError(f"the argument `after` must be at least {FIRST + LAST} batches, but {after} was given.")
        if every < 1:
            raise ValueError(f"the argument `every` must be at least 1, but {every} was given.")
        self.after, self.every = after, every
        self._losses: list[Tensor] = []
        self._warned: set[str] = set()
        self._starts_at = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the step at which the training starts or resumes."""
        self._starts_at, self._losses = trainer.global_step, []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """On rank zero, collect the loss, and measure the latents at the steps that `every` sets."""
        if not trainer.is_global_zero:
            return
        done = trainer.global_step - self._starts_at
        is_untrained = self._starts_at == 0 and getattr(pl_module, "init_from", None) is None
        if is_untrained and len(self._losses) < self.after:
            self._losses.append(outputs["loss"] * trainer.accumulate_grad_batches)
            if len(self._losses) == self.after:
                self._warn_of_flat_loss()
        network = getattr(pl_module, "network", None)
        due = (
            done >= 2 * self.every and done % self.every == 0 and (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        )
        if due and isinstance(batch, OccupancyBatch) and hasattr(network, "encode") and pl_module.device_mesh is None:
            self._warn_of_latents(cast(EncodesShapes, network), batch)

    def _warn_of_flat_loss(self) -> None:
        losses = torch.stack(self._losses).float().cpu()
        first, last = float(losses[:FIRST].mean()), float(losses[-LAST:].mean())
        if last > (1 - LEAST_FALL) * first:
            self._warn(
                "loss",
                f"the loss is flat: {first:.3f} in the first {FIRST} batches, {last:.3f} after {self.after}. Run "
                "`lagem doctor` on this experiment; the labels, the frame or model.init_args.base_lr may be wrong.",
            )

    def _warn_of_latents(self, network: EncodesShapes, batch: OccupancyBatch) -> None:
        some = batch.first(SHAPES)
        with torch.no_grad():
            latents = [level.float() for level in network.encode(some.surface_points)]
            for number, level in enumerate(latents, start=1):
                if len(level) > 1 and _relative(level - level.roll(1, dims=0), level) < COLLAPSED:
                    self._warn(
                        f"latents {number}",
                        f"the latents of level {number} are the same for all shapes and so carry no information. "
                        "Lower model.init_args.base_lr or, for a KL level, model.init_args.kl_weight.",
                    )
            if len(latents) > 1:
                queries = torch.cat([some.volume_points, some.near_points], dim=1)[:, -QUERIES:]
                logits = network.decode(latents)(queries).float()
                for number in range(1, len(latents) + 1):
                    without = [z * (level != number) for level, z in enumerate(latents, start=1)]
                    if _relative(network.decode(without)(queries).float() - logits, logits - logits.mean()) < UNUSED:
                        self._warn(
                            f"level {number}",
                            f"level {number} is not used: without it, the logits change by less than {UNUSED:.0%} "
                            "of their spread. `lagem levels` measures this; give the level fewer or more latents, or "
                            "train with model.init_args.level_dropout.",
                        )

    def _warn(self, sign: str, line: str) -> None:
        if sign not in self._warned:
            self._warned.add(sign)
            print(f"lagem: warning: {line}", file=sys.stderr, flush=True)


def _relative(change: Tensor, of: Tensor) -> float:
    """Return RMS(change) / RMS(of), where RMS is the root mean square; infinite if RMS(of) is 0 or NaN."""
    scale = float(of.square().mean().sqrt())
    return float(change.square().mean().sqrt()) / scale if scale > 0 else math.inf
