"""The progress of `lagem fit | validate | test | predict`, in place of Lightning's progress bar."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import TaskID
from rich.text import Text

from lagem.progress import LongProgress, is_terminal, long_progress

SECONDS_BETWEEN_UPDATES = 0.2  # at least; reading a loss waits for the device, so not every step does it

Item = TypeVar("Item")


class RunProgress(ProgressBar):
    """Shows the optimiser steps of a training, and the batches of a validation, a test or a prediction.

    Steps count from the beginning of the training, also after a resume. Validations are shown in place of the
    training, and change neither its count nor its rate; a line states their scores afterwards. What callbacks do with
    shapes in a validation or a test, such as scoring them, is shown below the batches.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._progress: LongProgress | None = None
        self._steps: TaskID | None = None
        self._batches: TaskID | None = None
        self._updated = self._paused_at = -float("inf")
        self._paused = 0.0

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all ranks but rank zero."""
        self._enabled = False

    def enable(self) -> None:
        """Show the progress again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the steps of the training, including those before a resume."""
        if (progress := self._shown()) is not None:
            steps = trainer.estimated_stepping_batches
            total = steps if math.isfinite(steps) else None
            self._steps = progress.add_task("train", total=total, completed=trainer.global_step, doing="")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the number of steps and the loss, unless they were updated less than SECONDS_BETWEEN_UPDATES ago."""
        if time.monotonic() - self._updated > SECONDS_BETWEEN_UPDATES:
            self._update_steps(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the last step, and end the progress."""
        self._update_steps(trainer)
        self._stop()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show progress through the batches of a validation, in place of the steps."""
        sanity = trainer.sanity_checking
        batches = trainer.num_sanity_val_batches if sanity else trainer.num_val_batches
        if self._steps is not None and self._progress is not None:
            self._update_steps(trainer)
            self._progress.update(self._steps, visible=False)
            self._paused_at = time.monotonic()
        self._start_batches("check" if sanity else "validate", batches)

    def on_validation_batch_end(self, *arguments: Any) -> None:
        """Count a batch."""
        self._advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the scores of a validation of a training, and show the steps again."""
        self._end_batches(keep=trainer.state.fn == "validate")
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._print_scores(trainer)
        if self._steps is not None and self._progress is not None:
            if trainer.global_step < trainer.estimated_stepping_batches:  # else the time of the steps has ended
                self._paused += time.monotonic() - self._paused_at
            self._progress.update(self._steps, visible=True, paused=self._paused)
        elif trainer.state.fn == "validate":
            self._stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show progress through the batches of the test."""
        self._start_batches("test", trainer.num_test_batches)

    def on_test_batch_end(self, *arguments: Any) -> None:
        """Count a batch."""
        self._advance()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the progress of the test."""
        self._stop()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show progress through the batches of the prediction."""
        self._start_batches("predict", trainer.num_predict_batches)

    def on_predict_batch_end(self, *arguments: Any) -> None:
        """Count a batch."""
        self._advance()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the progress of the prediction."""
        self._stop()

    def count(self, items: Sequence[Item], doing: str) -> Iterator[Item]:
        """Yield items, and show how many of them are done until all are.

        Args:
            items: The items.
            doing: What is done with the items, such as "scoring shapes".
        """
        if self._progress is None:
            yield from items
            return
        task = self._progress.add_task(doing, total=len(items), doing="")
        for item in items:
            yield item
            self._progress.advance(task)
        self._progress.remove_task(task)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the progress, so that the terminal is usable."""
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End the progress, so that the terminal is usable."""
        self._stop()

    def _shown(self) -> LongProgress | None:
        """Return the progress display, after starting it if necessary; None if nothing is to be shown."""
        if self._enabled and self._progress is None:
            self._progress = long_progress("{task.fields[doing]}")
            self._progress.start()
        return self._progress if self._enabled else None

    def _update_steps(self, trainer: Trainer) -> None:
        if self._progress is None or self._steps is None:
            return
        shown = {name: value for name, value in trainer.progress_bar_metrics.items() if not name.startswith("val/")}
        doing = " ".join(f"{name.removeprefix('train/')} {value:.4g}" for name, value in shown.items())
        self._progress.update(self._steps, completed=trainer.global_step, doing=doing)
        self._updated = time.monotonic()

    def _print_scores(self, trainer: Trainer) -> None:
        scores = {name: value for name, value in trainer.progress_bar_metrics.items() if name.startswith("val/")}
        if self._progress is not None and scores:
            words = ", ".join(f"{name.removeprefix('val/')} {value:.4g}" for name, value in scores.items())
            text = f"validation after step {trainer.global_step}: {words}"
            self._progress.console.print(Text(text), soft_wrap=not is_terminal())  # in a file, one line

    def _start_batches(self, name: str, batches: list[int | float] | list[int]) -> None:
        if (progress := self._shown()) is not None:
            self._batches = progress.add_task(name, total=sum(batches), doing="")

    def _advance(self) -> None:
        if self._progress is not None and self._batches is not None:
            self._progress.advance(self._batches)

    def _end_batches(self, *, keep: bool) -> None:
        if self._progress is not None and self._batches is not None and not keep:
            self._progress.remove_task(self._batches)
            self._batches = None

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._steps = self._batches = None
