"""What every run adds to the configured trainer, and which configurations it refuses.

Each addition to the built trainer is a function; `prepare_trainer` calls all of them in order.
"""

from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    Callback,
    Checkpoint,
    ModelCheckpoint,
    ProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lagem.callbacks.early_warnings import EarlyWarnings
from lagem.callbacks.mesh_export import ExportMeshes
from lagem.callbacks.sample_export import ExportSamples
from lagem.callbacks.save_on_signal import SaveOnSignal
from lagem.lightning_private.trainer import cluster_environment, keep_average_on
from lagem.training.checkpoints import AtomicCheckpointIO, FinalCheckpoint
from lagem.training.progress import RunProgress
from lagem.training.strategies import check_averaging, tune
from lagem.training.tracking import keep_run_id

PREDICTION_WRITERS = (ExportMeshes, ExportSamples, BasePredictionWriter)


def prepare_trainer(trainer: Trainer, *, logger: object) -> None:
    """Prepare a configured trainer for a run.

    Args:
        trainer: The configured trainer.
        logger: The value of the setting `trainer.logger`.
    """
    tune(trainer.strategy)
    write_checkpoints_atomically(trainer)
    keep_checkpoints_in_run_folder(trainer)
    average_weights_where_they_are_trained(trainer)
    disable_requeueing_by_lightning(trainer)
    save_the_end_of_training(trainer)
    save_on_signals(trainer)
    warn_early(trainer)
    call_callbacks_in_a_safe_order(trainer)
    if logger is not False and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        log_to_run_folder(trainer, configured=[] if logger in (None, True) else trainer.loggers)


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the list of callbacks that the trainer calls; changes to this list take effect."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def with_progress(callbacks: Callback | list[Callback] | None) -> list[Callback]:
    """Return the configured callbacks, plus RunProgress unless one of them already shows the progress."""
    given = [callbacks] if isinstance(callbacks, Callback) else callbacks or []
    return given if any(isinstance(each, ProgressBar) for each in given) else [*given, RunProgress()]


def check_precision(precision: object) -> None:
    """Raise ValueError if a precision overflows in ordinary trainings."""
    if str(precision) in ("16", "16-mixed"):
        raise ValueError(
            "trainer.precision is 16-mixed, in which ordinary trainings overflow: the loss or its gradient becomes "
            "infinite, and the run stops or skips the step. Use bf16-mixed."
        )


def precision_for(accelerator: object) -> str:
    """Return the precision of a run that sets none: bf16-mixed on a GPU that supports it, else float32.

    On a CPU without instructions for bfloat16, bf16-mixed is 1.5 to 1.8 times slower than float32. On a CPU with them,
    it is faster for large networks (docs/performance.md).

    Args:
        accelerator: The value of the setting `trainer.accelerator`.
    """
    on_gpu = accelerator in (None, "auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def check_predictions_are_written(trainer: Trainer) -> None:
    """Raise ValueError if no callback would write the predictions."""
    if not any(isinstance(callback, PREDICTION_WRITERS) for callback in callbacks_of(trainer)):
        raise ValueError(
            "no callback writes predictions, so `lagem predict` would write nothing. For an autoencoder, add "
            "--trainer.callbacks+=ExportMeshes; for a stage of a cascade, add --trainer.callbacks+=ExportSamples."
        )


def write_checkpoints_atomically(trainer: Trainer) -> None:
    """Use AtomicCheckpointIO, unless the strategy or the configuration has another checkpoint IO than the default."""
    if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()


def keep_checkpoints_in_run_folder(trainer: Trainer) -> None:
    """Let every ModelCheckpoint without a folder write to the folder `checkpoints` of the run."""
    for callback in callbacks_of(trainer):
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")


def average_weights_where_they_are_trained(trainer: Trainer) -> None:
    """Keep averaged weights on the device of the trained weights; raises ValueError if the weights are sharded."""
    for callback in callbacks_of(trainer):
        if isinstance(callback, WeightAveraging):
            check_averaging(callback, trainer.strategy)
            keep_average_on(callback, trainer.strategy.root_device)


def disable_requeueing_by_lightning(trainer: Trainer) -> None:
    """Switch off Lightning's handling of SLURM's signals, because SaveOnSignal handles them."""
    environment = cluster_environment(trainer)
    if isinstance(environment, SLURMEnvironment):
        environment.auto_requeue = False


def save_the_end_of_training(trainer: Trainer) -> None:
    """Add the callback that writes `last.ckpt` when training ends."""
    callbacks_of(trainer).append(FinalCheckpoint())


def save_on_signals(trainer: Trainer) -> None:
    """Add the callback SaveOnSignal unless the configuration has it; raises ValueError if there are several."""
    callbacks = callbacks_of(trainer)
    count = sum(isinstance(callback, SaveOnSignal) for callback in callbacks)
    if count > 1:
        raise ValueError(f"trainer.callbacks names SaveOnSignal {count} times, but a run needs only one. Keep one.")
    if count == 0:
        callbacks.append(SaveOnSignal())


def warn_early(trainer: Trainer) -> None:
    """Add the callback EarlyWarnings unless the configuration has it."""
    if not any(isinstance(callback, EarlyWarnings) for callback in callbacks_of(trainer)):
        callbacks_of(trainer).append(EarlyWarnings())


def call_callbacks_in_a_safe_order(trainer: Trainer) -> None:
    """Sort the callbacks so that each finds the right weights in the model.

    A WeightAveraging callback puts the averaged weights into the model when a validation starts, and takes them out
    when the validation ends. So the order is: callbacks that need the averaged weights at the end of a validation, then
    WeightAveraging, then callbacks that write checkpoints.
    """

    def position(callback: Callback) -> int:
        if isinstance(callback, SaveOnSignal):
            return 3
        return 2 if isinstance(callback, Checkpoint) else int(isinstance(callback, WeightAveraging))

    callbacks_of(trainer).sort(key=position)


def log_to_run_folder(trainer: Trainer, *, configured: list[Logger]) -> None:
    """Log to a CSV file in the run folder, and to the configured loggers or, if there are none, to TensorBoard."""
    root = Path(trainer.default_root_dir)
    csv = CSVLogger(root, name="logs")
    trainer.loggers = [csv, *(configured or [TensorBoardLogger(root, name="logs", version=csv.version)])]
    keep_run_id(trainer.loggers, root)
