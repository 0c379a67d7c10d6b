"""Preconditioning of the denoiser (EDM: Karras et al. 2022, Eq. 7 and Table 1), with sigma_data = 1.

LaGeM standardises every latent vector (its Eq. 6), so the data have unit variance, as sigma_data = 1 assumes.

Letters: B samples, M latent vectors, D latent channels.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from lagem.diffusion.network import StageNetwork


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return c_skip, c_out, c_in and c_noise for positive noise levels; each has the shape of `sigma` (EDM Table 1).

    c_skip = 1 / (sigma^2 + 1), c_out = sigma / sqrt(sigma^2 + 1), c_in = 1 / sqrt(sigma^2 + 1) and
    c_noise = ln(sigma) / 4.
    """
    variance = sigma.square() + 1
    return 1 / variance, sigma * variance.rsqrt(), variance.rsqrt(), sigma.log() / 4


class Denoiser(nn.Module):
    """The denoiser D(x; sigma) = c_skip x + c_out F_theta(c_in x; c_noise), which estimates clean latents (EDM Eq. 7).

    Args:
        backbone: F_theta, the network of a stage.
    """

    def __init__(self, backbone: StageNetwork) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(
        self,
        noised: Tensor,
        sigma: Tensor,
        *,
        coarser: Sequence[Tensor] = (),
        condition: Tensor | None = None,
        drop: Tensor | None = None,
        coarser_sigma: Tensor | None = None,
    ) -> Tensor:
        """Denoise latents of the backbone's level (EDM Eq. 7).

        Everything except the backbone runs in float32, even under autocast.

        Args:
            noised: (B, M_i, D_i) noised latents x = Z_i + sigma * n.
            sigma: (B,) positive noise levels.
            coarser: Latents of the coarser levels, (B, M_j, D_j) each, coarsest first.
            condition: Condition in the form that the backbone takes; None for an unconditional result.
            drop: (B,) bool, True for samples whose condition is dropped; None drops no condition.
            coarser_sigma: (B,) standard deviations of the noise on `coarser`; None means that all are 0.

        Returns:
            (B, M_i, D_i) float32 estimate of the clean latents.
        """
        noised = noised.float()
        c_skip, c_out, c_in, c_noise = preconditioning(sigma.float().view(-1, 1, 1))
        raw = self.backbone(
            c_in * noised,
            c_noise.flatten(),
            coarser=coarser,
            condition=condition,
            drop=drop,
            coarser_sigma=coarser_sigma,
        )
        return c_skip * noised + c_out * raw.float()
