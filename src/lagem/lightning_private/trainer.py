"""Undocumented parts of Lightning's trainer, strategies, callbacks and loggers.

Each docstring says why the part is needed and what breaks without it. For each part, there is a test that fails if
Lightning changes the part.
"""

from collections.abc import Callable
from datetime import timedelta
from signal import SIGKILL
from typing import Any

import torch
from lightning.fabric.plugins.collectives.torch_collective import default_pg_timeout
from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.fabric.strategies import model_parallel
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy, Strategy, fsdp


def end_after_batch(trainer: Trainer, ends: bool) -> None:
    """Make a fit raise SIGTERMException after the current batch; if `ends` is False, cancel an earlier request.

    Setting `should_stop` instead would first run the hooks of a regular end. Without this function, a signalled run
    could not stop in the middle of an epoch.
    """
    trainer._signal_connector.received_sigterm = ends


def batches_trained(trainer: Trainer) -> int:
    """Return the number of training batches that the fit has processed in all epochs, including those before a resume.

    `global_step` counts optimiser steps instead. Without this function, a resumed run would not continue with the next
    batch.
    """
    # A checkpoint written in on_train_batch_end counts its last batch as processed, but not yet as completed.
    loop: Any = trainer.fit_loop
    return int(loop.epoch_loop.batch_progress.total.processed)


def set_up_training_data(trainer: Trainer) -> None:
    """Create the training loader, so that `num_training_batches` is known before the first epoch.

    Without this, the warm-up could not be one epoch long by default.
    """
    trainer.fit_loop.setup_data()


def restart_training_data(trainer: Trainer) -> None:
    """Make the fit create its training loader again.

    Lightning starts to iterate over the loader as soon as it needs the length of an epoch, before it has read the
    checkpoint to resume from. Without this, a resumed run would begin its data from the start.
    """
    trainer.fit_loop._combined_loader = None


def cluster_environment(trainer: Trainer) -> ClusterEnvironment | None:
    """Return the cluster environment that Lightning detected; None if there is none.

    It is needed to switch off Lightning's own SLURM requeueing, which would handle SIGUSR1 too.
    """
    return trainer._accelerator_connector.cluster_environment


def keep_average_on(callback: WeightAveraging, device: torch.device) -> None:
    """Keep averaged weights on this device, unless the configuration names another.

    Lightning creates the average before it moves the model to its device; without this, the average would stay on
    the CPU.
    """
    callback._device = callback._device or device


def mark_last_saved(callback: ModelCheckpoint, path: str) -> None:
    """Tell a ModelCheckpoint that it has already written `last.ckpt`.

    Without this, a ModelCheckpoint that has saved nothing since the run was started would write the file again at the
    end of the fit, after weight averaging has put the averaged weights into the model.
    """
    callback.last_model_path = callback._last_checkpoint_saved = path


def set_run_id(logger: WandbLogger, run_id: str) -> None:
    """Set the id of a W&B logger's run, after the logger is made but before it starts the run.

    Without this, W&B would create another run each time a run is resumed.
    """
    logger._id = logger._wandb_init["id"] = run_id


def set_default_timeout(strategy: DDPStrategy | FSDPStrategy | ModelParallelStrategy, timeout: timedelta) -> None:
    """Limit how long ranks wait for one another, unless the configuration sets a limit.

    Without this, the other ranks would wait half an hour for a rank that hangs.
    """
    if strategy._timeout == default_pg_timeout:
        strategy._timeout = timeout


def set_default_of_ddp(strategy: DDPStrategy, name: str, value: object) -> None:
    """Set an argument of DistributedDataParallel, unless the configuration sets it.

    Without this, `gradient_as_bucket_view` would be off by default, and `--trainer.strategy ddp` would keep every
    gradient twice in memory.
    """
    strategy._ddp_kwargs.setdefault(name, value)


def save_whole_checkpoints(strategy: ModelParallelStrategy) -> None:
    """Make FSDP2 write each checkpoint as one file.

    Without this, a checkpoint would be a folder of shards, which only the same strategy can resume.
    """
    strategy._save_distributed_checkpoint = False


def load_checkpoints_of_fsdp2_with(load_folder: Callable[..., None]) -> None:
    """Make FSDP2 load sharded checkpoints by calling `load_folder`, which fills a state dict from a folder.

    Without this, Lightning would leave the loading to torch, which runs code that is pickled in the folder.
    """
    model_parallel._distributed_checkpoint_load = load_folder


def load_checkpoints_of_fsdp1_with(load_folder: Callable[..., None], load_file: Callable[..., Any]) -> None:
    """Make FSDP1 load checkpoints with these functions.

    `load_folder` fills a state dict from the folder of a sharded checkpoint; `load_file` reads a checkpoint that is a
    file. Without this, Lightning would unpickle both kinds, and so run code in them.
    """
    fsdp._distributed_checkpoint_load, fsdp._lazy_load = load_folder, load_file


def load_through(strategy: Strategy, wrap: Callable[[Callable[..., dict[str, Any]]], Callable[..., Any]]) -> None:
    """Replace a strategy's `load_checkpoint` by the function that `wrap` returns for it.

    Sharded strategies do not load through `checkpoint_io`. Without this, our own loading would not apply to them.
    """
    strategy.load_checkpoint = wrap(strategy.load_checkpoint)  # type: ignore[method-assign]


def kill_started_ranks(trainer: Trainer) -> None:
    """Kill the processes of those other ranks that this process started.

    Without this, they would keep waiting for this rank after it has exited.
    """
    launcher = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(SIGKILL)
