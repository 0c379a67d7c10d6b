"""Leave a training that is asked to, without losing or repeating a step."""

from pathlib import Path
from signal import Signals
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lagem.lightning_private.trainer import end_after_batch
from lagem.signals import REQUEUE, STOP, waiting


class SaveOnSignal(Checkpoint):
    """When any rank was sent SIGUSR1 or SIGTERM, write `last.ckpt` after a step and end the training.

    `lagem fit` adds it by itself; name it, beside a ModelCheckpoint, only to change its setting. All ranks decide
    together, by one number that they reduce. They leave after a step, or after the validation that follows it, but not
    at the end of an epoch, of which Lightning would repeat a part on resuming; the next step is soon there. As a
    Checkpoint it comes after every other callback, so what they did is in the file.

    Args:
        every_n_steps: Optimiser steps from one question to the next.
    """

    def __init__(self, *, every_n_steps: int = 1) -> None:
        super().__init__()
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, but {every_n_steps} was given.")
        self.every_n_steps = every_n_steps
        self.followed: Signals | None = None
        self.saved: Path | None = None
        self._steps = 0
        self._stepped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count from here."""
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask after a step; between two, gradients of some batches wait in memory."""
        self._stepped = trainer.global_step > self._steps
        self._steps = trainer.global_step
        if self._stepped and self._steps % self.every_n_steps == 0:
            self._save_if_asked(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a validation that follows the step come to its end."""
        end_after_batch(trainer, False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask after a validation, when weight averaging has taken its weights out of the model again."""
        if self._stepped and not trainer.sanity_checking:
            self._save_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save again, where all epochs are of one batch and so every step ends one."""
        if self.followed is not None:
            self._save_if_asked(trainer)

    def _save_if_asked(self, trainer: Trainer) -> None:
        if _ends_now(trainer):  # by itself; a new start would only find that
            self.followed = None
        elif trainer.is_last_batch and trainer.num_training_batches > 1:
            return
        elif self.followed is None and trainer.strategy.reduce_boolean_decision(bool(waiting()), all=False):
            stop = trainer.strategy.reduce_boolean_decision(STOP in waiting(), all=False)
            self.followed = STOP if stop else REQUEUE
        if self.followed is not None:
            self._save(trainer)
        end_after_batch(trainer, self.followed is not None)

    def _save(self, trainer: Trainer) -> None:
        kept = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint) and each.dirpath]
        if not kept or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        keeper = next((each for each in kept if each.save_last), kept[0])
        self.saved = Path(keeper.last_model_path or f"{keeper.dirpath}/{keeper.CHECKPOINT_NAME_LAST}.ckpt")
        if keeper.save_last:
            keeper.last_model_path = str(self.saved)  # else its next one would be named last-v1
        trainer.save_checkpoint(self.saved)


def _ends_now(trainer: Trainer) -> bool:
    steps, epochs = trainer.max_steps, trainer.max_epochs
    last_epoch = epochs is not None and 0 <= epochs <= trainer.current_epoch + 1
    return trainer.should_stop or 0 <= steps <= trainer.global_step or (last_epoch and trainer.is_last_batch)
