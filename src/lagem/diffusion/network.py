"""The interface that this package requires of a stage's network."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lagem.levels import LevelSpec


class StageNetwork(Protocol):
    """The network F_theta of one stage: any `nn.Module` with this signature, such as `lagem.models.denoiser.Backbone`.

    This is a protocol, so that this package can also be used with another network, without `lagem.models`.

    levels: sizes of the autoencoder's levels, fine to coarse.
    level: number of the level that the stage generates; 1 is the finest.
    """

    @property
    def levels(self) -> tuple[LevelSpec, ...]: ...

    @property
    def level(self) -> int: ...

    def __call__(
        self,
        x: Tensor,
        c_noise: Tensor,
        *,
        coarser: Sequence[Tensor],
        condition: Tensor | None,
        drop: Tensor | None,
        coarser_sigma: Tensor | None,
    ) -> Tensor:
        """Return F_theta(x; c_noise).

        Args:
            x: (B, M_i, D_i) noised latents, scaled by c_in.
            c_noise: (B,) noise levels, as EDM passes them to the network: ln(sigma) / 4.
            coarser: Latents of the coarser levels, (B, M_j, D_j) each, coarsest first.
            condition: What the network is conditioned on; None for an unconditional result.
            drop: (B,) bool, True for samples whose condition is dropped; None drops no condition.
            coarser_sigma: (B,) standard deviations of the noise on `coarser`; None means that all are 0.

        Returns:
            (B, M_i, D_i) output of the network.
        """
        ...

    def check_latents(self, latents: Tensor, level: int) -> None:
        """Raise ValueError if `latents` do not have the shape (B, M_i, D_i) of that level."""
