"""The exponential moving average of the weights, computed in a handful of operations per step."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage(WeightAveraging):
    """Lightning's EMAWeightAveraging, but it averages all weights at once; checkpoints of both are interchangeable.

    Lightning averages one tensor after another, which takes hundreds of operations per step.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        """Average after every optimiser step.

        Args:
            decay: Weight of the old average in the new one after a step.
        """
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def state_key(self) -> str:
        """Key of the state in a checkpoint: that of the callback it replaces."""
        return "EMAWeightAveraging"
