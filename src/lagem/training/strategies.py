"""How several devices train one model: what lagem sets in every distributed run, and what it refuses."""

import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy

from lagem.lightning_private.trainer import (
    load_checkpoints_of_fsdp1_with,
    load_checkpoints_of_fsdp2_with,
    load_through,
    save_whole_checkpoints,
    set_default_of_ddp,
    set_default_timeout,
)
from lagem.training.checkpoints import confine_recorded_paths
from lagem.weights.file import check_undamaged, load_plain, refused
from lagem.weights.sharded import check_not_of_fsdp1, load_sharded

LONGEST_SILENCE = timedelta(minutes=10)  # how long ranks wait for another rank before they exit; Lightning's is 30
SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)


def tune(strategy: Strategy) -> None:
    """Set the options of a strategy that suit our modules.

    With DDP, gradients become views into the buckets that are sent, so they take memory only once. DDP keeps its
    default not to search for unused parameters, because every parameter has a gradient in every step, even with level
    dropout and without a condition. With FSDP2, a checkpoint becomes one file, so another number of ranks or another
    strategy can resume it. With DDP and FSDP, there is a limit on how long ranks wait for one another. With all
    strategies, loading a checkpoint runs no code from it. If the configuration sets the views or the limit, its value
    is kept.
    """
    load_without_code(strategy)
    if isinstance(strategy, DDPStrategy | FSDPStrategy | ModelParallelStrategy):
        set_default_timeout(strategy, LONGEST_SILENCE)
    if isinstance(strategy, DDPStrategy):
        set_default_of_ddp(strategy, "gradient_as_bucket_view", True)
    elif isinstance(strategy, ModelParallelStrategy):
        save_whole_checkpoints(strategy)


def load_without_code(strategy: Strategy) -> None:
    """Make a sharded strategy load only plain data from checkpoints, and refuse those whose loading would run code.

    Other strategies are not changed: they load checkpoints through `AtomicCheckpointIO`.
    """
    if isinstance(strategy, ModelParallelStrategy):
        load_checkpoints_of_fsdp2_with(load_sharded)
        load_through(strategy, _plain)
    elif isinstance(strategy, FSDPStrategy):
        load_checkpoints_of_fsdp1_with(_refuse, load_plain)
        load_through(strategy, _plain)
    elif isinstance(strategy, DeepSpeedStrategy):
        load_through(strategy, lambda _: _refuse)


def _plain(load: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def load_plain_data(path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        if (rest := Path(path) / "meta.pt").is_file():  # of a sharded checkpoint: everything that is not in its shards
            load_plain(rest)
        elif Path(path).is_file():
            check_undamaged(Path(path))
        try:
            loaded = load(path, weights_only=True)
        except pickle.UnpicklingError as error:
            raise refused(path, error) from error
        confine_recorded_paths(loaded, path)
        return loaded

    return load_plain_data


def _refuse(*arguments: object, **more: object) -> None:
    path = next((given for given in arguments if isinstance(given, str | Path)), "the checkpoint")
    if Path(path).is_dir():
        check_not_of_fsdp1(Path(path))
    raise ValueError(
        f"{path}: refused, because DeepSpeed would run code from any checkpoint, and FSDP1 from a sharded one. Resume "
        "with FSDP2 (--config experiments/layers/fsdp.yaml) or, if the checkpoint is one file, with DDP."
    )


def check_averaging(callback: WeightAveraging, strategy: Strategy) -> None:
    """Refuse weight averaging with a strategy that shards weights, because Lightning would fail or average shards."""
    if isinstance(strategy, SHARDED):
        raise ValueError(
            f"{type(callback).__name__} keeps a whole copy of the weights, but {type(strategy).__name__} shards them "
            "over the ranks. Remove the callback, or choose another strategy."
        )
