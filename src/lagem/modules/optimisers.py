"""The optimisers and their schedule: AdamW, and Muon for hidden matrices with AdamW for all other parameters."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lagem.models.attention import Attention, FeedForward
from lagem.modules.muon import StackedMuon


class MuonAdamW(Optimizer):
    """Muon for the matrices inside attention and feed-forward layers, AdamW for all other parameters.

    Muon's steps are scaled to the root mean square of AdamW's (`match_rms_adamw`), so both use the same learning rate.
    """

    def __init__(
        self, network: nn.Module, *, lr: float, weight_decay: float = 0.01, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        """Split the parameters of a network between Muon and AdamW.

        Args:
            network: Its matrices within `Attention` and `FeedForward` go to Muon; vectors, embeddings, bottlenecks
                and the output go to AdamW.
            lr: Learning rate of both.
            weight_decay: Decoupled weight decay of both.
            betas: AdamW's betas.
        """
        layers = [module for module in network.modules() if isinstance(module, Attention | FeedForward)]
        inside = [parameter for layer in layers for parameter in layer.parameters() if parameter.ndim == 2]
        matrices = [parameter for parameter in inside if parameter.requires_grad]
        chosen = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in network.parameters() if id(parameter) not in chosen]
        self._parts: list[Optimizer] = [
            StackedMuon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            adamw(others, lr=lr, betas=betas, weight_decay=weight_decay, fused=True),
        ]
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share_groups()

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Take one step of both optimisers; return the loss if a closure is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both optimisers, Muon's first."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the states of both optimisers."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self) -> None:
        """List the parameter groups of both optimisers as groups of this one, so that a schedule changes both rates."""
        self.param_groups = [group for part in self._parts for group in part.param_groups]


def adamw(
    parameters: Iterable[nn.Parameter], *, lr: float, betas: tuple[float, float], weight_decay: float, fused: bool
) -> AdamW:
    """Make an AdamW of those parameters that require gradients.

    If `fused` is set and the parameters' devices support it, each step is one fused operation.
    """
    listed = [parameter for parameter in parameters if parameter.requires_grad]
    fused = fused and all(parameter.device.type in ("cpu", "cuda") for parameter in listed)
    return AdamW(listed, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)


def warmup_cosine(
    optimizer: Optimizer, *, warmup_steps: int, total_steps: int, peak_lr: float, min_lr: float
) -> LambdaLR:
    """Make a schedule that rises linearly to `peak_lr`, then falls as a half cosine to `min_lr`.

    Args:
        optimizer: Optimiser whose groups have the learning rate `peak_lr`.
        warmup_steps: Number of steps of the rise; 0 starts at the peak.
        total_steps: Number of steps of the whole training.
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
