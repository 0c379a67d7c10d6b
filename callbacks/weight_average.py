"""The exponential average of the weights, a handful of operations a step."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage(WeightAveraging):
    """Lightning's EMAWeightAveraging, with all weights averaged at once; it resumes that one's checkpoints.

    Lightning's averages one tensor after another: hundreds of operations a step.
    """

    def __init__(self, *, decay: float = 0.999) -> None:
        """Average after every optimiser step.

        Args:
            decay: What is left of the average after a step.
        """
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def state_key(self) -> str:
        """The key of its state in a checkpoint, that of the callback it replaces."""
        return "EMAWeightAveraging"
