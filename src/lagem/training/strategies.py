"""How several devices train one model: what every distributed run of lagem sets, and what it refuses."""

import warnings
from datetime import timedelta

from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DDPStrategy, DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy

from lagem.lightning_private.trainer import save_whole_checkpoints, set_default_of_ddp, set_default_timeout

LONGEST_SILENCE = timedelta(minutes=10)  # of a rank that the others wait for, before they give up; Lightning: 30
SHARDED = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)


def tune(strategy: Strategy) -> None:
    """Set what suits our modules, where the configuration leaves it open.

    DDP: gradients live in the buckets that are sent, which saves their memory once. Every parameter has a gradient in
    every step, also under level dropout and without a condition, so unused ones are not searched for (DDP's default).
    FSDP2: a checkpoint is one file, as everywhere, so it goes on under another number of ranks or another strategy.
    All: how long a rank may keep the others waiting.
    """
    if isinstance(strategy, DDPStrategy | FSDPStrategy | ModelParallelStrategy):
        set_default_timeout(strategy, LONGEST_SILENCE)
    if isinstance(strategy, DDPStrategy):
        set_default_of_ddp(strategy, "gradient_as_bucket_view", True)
    elif isinstance(strategy, ModelParallelStrategy):
        save_whole_checkpoints(strategy)


def check_averaging(callback: WeightAveraging, strategy: Strategy) -> None:
    """Refuse weight averaging with a strategy that shards the weights; Lightning would fail or average shards."""
    if isinstance(strategy, SHARDED):
        raise ValueError(
            f"{type(callback).__name__} keeps a whole copy of the weights, which no rank has under the sharded "
            f"{type(strategy).__name__}. Leave out one of the two."
        )
    # It is for networks that `configure_model` shards, which ours does under a strategy that is refused above.
    warnings.filterwarnings("ignore", message="You're using the WeightAveraging callback with a model that overrides")
