"""A callback that keeps an exponential moving average of the weights, at the cost of a few operations per step."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage(WeightAveraging):
    """Lightning's EMAWeightAveraging, except that all weights are averaged together in a few operations.

    EMAWeightAveraging averages one tensor after another, which takes hundreds of operations per step. Either callback
    can load the checkpoints of the other.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        """Average after every optimiser step.

        Args:
            decay: Weight of the previous average in the new average.
        """
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def state_key(self) -> str:
        """The key under which a checkpoint stores this callback's state: the same as for EMAWeightAveraging."""
        return "EMAWeightAveraging"
