"""What diffusion requires of a stage's network."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lagem.levels import LevelSpec


class StageNetwork(Protocol):
    """F_theta of one stage: any `nn.Module` with this signature; `lagem.models.denoiser.Backbone` is ours.

    It is a protocol so that this package can be used with another network, without `lagem.models`.

    levels: sizes of the autoencoder's levels, fine to coarse.
    level: number of the level that the stage generates, 1 = finest.
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
        """F_theta(x; c_noise).

        Args:
            x: (B, M_i, D_i), noised latents scaled by c_in.
            c_noise: (B,), the noise level as EDM passes it to the network.
            coarser: (B, M_j, D_j) each, latents of the coarser levels, coarsest first.
            condition: What the network is conditioned on; None is unconditional.
            drop: (B,) bool, samples whose condition is dropped; None drops none.
            coarser_sigma: (B,), standard deviation of the noise on `coarser`; None is 0.

        Returns:
            (B, M_i, D_i).
        """
        ...

    def check_latents(self, latents: Tensor, level: int) -> None:
        """Raise ValueError if `latents` are not (B, M_i, D_i) of that level."""
