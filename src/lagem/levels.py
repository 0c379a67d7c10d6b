"""Levels of the hierarchy (LaGeM §3.2): the one place that defines their order.

Level 1 is the finest, level L the coarsest; every sequence in the package runs fine to coarse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BottleneckKind = Literal["standardised", "kl"]


@dataclass(frozen=True)
class LevelSpec:
    """Sizes of one level.

    Args:
        num_latents: M_i, latent vectors (and anchors) of this level.
        latent_dim: D_i, channels of one latent vector.
        depth: Self-attention blocks of this level in the decoder.
        bottleneck: `standardised` (Eq. 6-7) or `kl` (VecSet's Gaussian with a KL term).
    """

    num_latents: int
    latent_dim: int
    depth: int = 8
    bottleneck: BottleneckKind = "standardised"

    def __post_init__(self) -> None:
        for name, least in (("num_latents", 1), ("latent_dim", 1), ("depth", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"a level's {name} must be at least {least}, but {getattr(self, name)} was given.")
        if self.bottleneck == "standardised" and self.latent_dim < 2:
            raise ValueError(
                "a standardised bottleneck needs latent_dim of at least 2 (one channel standardised is always 0), "
                f"but {self.latent_dim} was given."
            )


def check_levels(levels: Sequence[LevelSpec]) -> tuple[LevelSpec, ...]:
    """Return `levels` as a tuple, or raise ValueError where they do not run fine to coarse."""
    if not levels:
        raise ValueError("at least one level is needed, but `levels` is empty.")
    for fine, coarse in zip(levels, levels[1:], strict=False):
        if coarse.num_latents >= fine.num_latents:
            raise ValueError(
                f"levels run fine to coarse, but {coarse.num_latents} latents follow {fine.num_latents}. "
                "Reverse `model.init_args.levels`."
            )
    return tuple(levels)
