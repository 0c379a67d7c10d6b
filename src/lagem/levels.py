"""The levels of the hierarchy (LaGeM §3.2) and their order.

Level 1 is the finest, and level L is the coarsest. Every sequence of levels in the package runs from fine to coarse.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

MOST_DEPTH = 1_000  # maximum number of blocks; building millions would take hours
MOST_LATENTS = 1_000_000

BottleneckKind = Literal["standardised", "kl"]
Posterior = Literal["mean", "sample"]  # which latents of KL levels are decoded in an evaluation


@dataclass(frozen=True)
class LevelSpec:
    """Sizes of one level.

    Args:
        num_latents: M_i, the number of latent vectors (and of anchors) of this level.
        latent_dim: D_i, the number of channels of a latent vector.
        depth: Number of self-attention blocks of this level in the decoder.
        bottleneck: `standardised` (Eq. 6-7), or `kl` for VecSet's Gaussian with a KL term.
    """

    num_latents: int
    latent_dim: int
    depth: int = 8
    bottleneck: BottleneckKind = "standardised"

    def __post_init__(self) -> None:
        for name, least in (("num_latents", 1), ("latent_dim", 1), ("depth", 0)):
            number = getattr(self, name)
            if type(number) is not int or number < least:
                raise ValueError(f"a level's {name} must be an integer of at least {least}, but {number!r} was given.")
        for name, most in (("num_latents", MOST_LATENTS), ("depth", MOST_DEPTH)):
            if getattr(self, name) > most:
                raise ValueError(f"a level's {name} must be at most {most}, but a larger number was given.")
        if self.bottleneck not in get_args(BottleneckKind):
            kinds = ", ".join(get_args(BottleneckKind))
            raise ValueError(f"a level's bottleneck must be one of {kinds}, but {self.bottleneck!r} was given.")
        if self.bottleneck == "standardised" and self.latent_dim < 2:
            raise ValueError(
                "a standardised bottleneck needs a latent_dim of at least 2, because a single channel is always 0 "
                f"after standardising, but {self.latent_dim} was given."
            )


def check_levels(levels: Sequence[LevelSpec]) -> tuple[LevelSpec, ...]:
    """Return `levels` as a tuple; raises ValueError if it is empty, or not in order from fine to coarse."""
    if not levels:
        raise ValueError("at least one level is needed, but `levels` is empty; give `model.init_args.levels`.")
    for fine, coarse in zip(levels, levels[1:], strict=False):
        if coarse.num_latents >= fine.num_latents:
            raise ValueError(
                "`model.init_args.levels` must go from fine to coarse, each level with fewer latents than the one "
                f"before, but a level with {coarse.num_latents} latents follows one with {fine.num_latents}; "
                "correct the list."
            )
    return tuple(levels)


def levels_from_plain(plain: Any) -> tuple[LevelSpec, ...]:
    """Return the levels that a list of mappings describes; each mapping has the fields of a `LevelSpec`.

    Raises:
        ValueError: If the list does not describe levels.
    """
    if not isinstance(plain, list | tuple):
        raise ValueError(f"levels must be a list, but {plain!r} was found.")
    levels = []
    for number, level in enumerate(plain, start=1):
        if not isinstance(level, Mapping):
            raise ValueError(f"level {number} must be a mapping of its fields, but {level!r} was found.")
        try:
            levels.append(LevelSpec(**level))
        except (TypeError, ValueError) as error:  # TypeError: a field is missing or unknown
            raise ValueError(f"level {number}: {str(error).removeprefix('LevelSpec.__init__() ')}") from error
    return check_levels(levels)
