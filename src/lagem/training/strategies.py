"""How several devices train one model: what lagem sets in every distributed run, and what it refuses."""

import warnings
from datetime import timedelta

from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy

from lagem.lightning_private.trainer import save_whole_checkpoints, set_default_of_ddp, set_default_timeout

LONGEST_SILENCE = timedelta(minutes=10)  # of a rank that the others wait for, before they exit; Lightning: 30
SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)


def tune(strategy: Strategy) -> None:
    """Set what suits our modules, unless the configuration sets it.

    DDP: gradients are views into the buckets that are sent, so they take memory only once. Every parameter has a
    gradient in every step, even with level dropout and without a condition, so DDP need not search for unused ones (its
    default). FSDP2: a checkpoint is one file, so another number of ranks or another strategy can resume it. All: how
    long ranks wait for one another.
    """
    if isinstance(strategy, DDPStrategy | FSDPStrategy | ModelParallelStrategy):
        set_default_timeout(strategy, LONGEST_SILENCE)
    if isinstance(strategy, DDPStrategy):
        set_default_of_ddp(strategy, "gradient_as_bucket_view", True)
    elif isinstance(strategy, ModelParallelStrategy):
        save_whole_checkpoints(strategy)


def check_averaging(callback: WeightAveraging, strategy: Strategy) -> None:
    """Refuse weight averaging with a strategy that shards the weights: Lightning would fail or average shards."""
    if isinstance(strategy, SHARDED):
        raise ValueError(
            f"{type(callback).__name__} keeps a whole copy of the weights, but {type(strategy).__name__} shards them "
            "over the ranks. Remove one of the two."
        )
    # The warning is for networks that `configure_model` shards; ours does that only with strategies refused above.
    warnings.filterwarnings("ignore", message="You're using the WeightAveraging callback with a model that overrides")
