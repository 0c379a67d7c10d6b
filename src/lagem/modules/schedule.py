"""Learning-rate schedule of the published recipe: linear warm-up, then a cosine, counted in optimiser steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_cosine(
    optimizer: Optimizer, *, warmup_steps: int, total_steps: int, peak_lr: float, min_lr: float
) -> LambdaLR:
    """Rise linearly to `peak_lr` in `warmup_steps`, then fall as a half cosine to `min_lr` at `total_steps`.

    Args:
        optimizer: Optimiser whose groups have the learning rate `peak_lr`.
        warmup_steps: Steps of the rise; 0 starts at the peak.
        total_steps: Steps of the whole training.
        peak_lr: Highest learning rate.
        min_lr: Learning rate at the end, and after it.
    """

    floor = min_lr / peak_lr if peak_lr else 1.0

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
