"""Stop a training on a signal, without losing or repeating a step."""

from pathlib import Path
from signal import Signals
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lagem.lightning_private.trainer import end_after_batch
from lagem.signals import INTERRUPT, REQUEUE, STOP, pending_signals


class SaveOnSignal(Checkpoint):
    """When any rank receives SIGUSR1, SIGTERM or SIGINT, write `last.ckpt` after a step and end the training.

    `lagem fit` adds this callback by itself. List it in a configuration only to change its argument, and then list a
    ModelCheckpoint too. All ranks decide together, by reducing one number. They stop after an optimiser step, or after
    the validation that follows the step. If that step is the last of an epoch, they stop after the next step instead,
    because Lightning would repeat part of an epoch that was stopped at its end. This callback is a Checkpoint, so
    Lightning runs it after all other callbacks, and their state is in the file.

    Args:
        every_n_steps: Number of optimiser steps from one check for signals to the next.
    """

    def __init__(self, *, every_n_steps: int = 1) -> None:
        super().__init__()
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, but {every_n_steps} was given.")
        self.every_n_steps = every_n_steps
        self.stopped_by: Signals | None = None
        self.saved: Path | None = None
        self._steps = 0
        self._stepped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the number of steps so far, so that the end of the next step is noticed."""
        self._steps = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check for signals after an optimiser step; a stop before the step would lose accumulated gradients."""
        self._stepped = trainer.global_step > self._steps
        self._steps = trainer.global_step
        if self._stepped and self._steps % self.every_n_steps == 0:
            self._save_if_signalled(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Postpone a stop until the validation that starts now has ended."""
        end_after_batch(trainer, False)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check for signals after a validation, when weight averaging has put the trained weights back."""
        if self._stepped and not trainer.sanity_checking:
            self._save_if_signalled(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save again if a signal stops the run at the end of this epoch; the first save came before the epoch ended.

        A signal stops a run there only if each epoch has a single batch.
        """
        if self.stopped_by is not None:
            self._save_if_signalled(trainer)

    def _save_if_signalled(self, trainer: Trainer) -> None:
        if _is_about_to_end(trainer):  # the training ends anyway, and a requeued job would have nothing to do
            self.stopped_by = None
        elif trainer.is_last_batch and trainer.num_training_batches > 1:
            return
        elif self.stopped_by is None and _any_rank(trainer, bool(pending_signals())):
            others = (signum for signum in (STOP, INTERRUPT) if _any_rank(trainer, signum in pending_signals()))
            self.stopped_by = next(others, REQUEUE)
        if self.stopped_by is not None:
            self._save(trainer)
        end_after_batch(trainer, self.stopped_by is not None)

    def _save(self, trainer: Trainer) -> None:
        kept = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint) and each.dirpath]
        if not kept or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        keeper = next((each for each in kept if each.save_last), kept[0])
        self.saved = Path(keeper.last_model_path or f"{keeper.dirpath}/{keeper.CHECKPOINT_NAME_LAST}.ckpt")
        if keeper.save_last:
            keeper.last_model_path = str(self.saved)  # otherwise the next last checkpoint would be named last-v1
        trainer.save_checkpoint(self.saved, weights_only=False)  # without the argument, Lightning prints a remark


def _any_rank(trainer: Trainer, signalled: bool) -> bool:
    return trainer.strategy.reduce_boolean_decision(signalled, all=False)


def _is_about_to_end(trainer: Trainer) -> bool:
    steps, epochs = trainer.max_steps, trainer.max_epochs
    last_epoch = epochs is not None and 0 <= epochs <= trainer.current_epoch + 1
    return trainer.should_stop or 0 <= steps <= trainer.global_step or (last_epoch and trainer.is_last_batch)
