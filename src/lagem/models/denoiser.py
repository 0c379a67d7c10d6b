"""Backbone F_theta of one stage of the cascade (LaGeM §3.3, Eq. 10-12): a DiT on a set of latents.

Latents have no positional encoding, so the network is equivariant to permutations of the latents that it denoises, and
invariant to permutations of the latents of each coarser level.

Letters: B samples, M_i latents of level i with D_i channels, C feature channels, L levels, T condition tokens.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lagem.levels import MOST_DEPTH, LevelSpec, check_levels
from lagem.models.adaptive import AdaptiveResidual, NoiseEmbedding
from lagem.models.attention import Attention, FeedForward
from lagem.models.condition import ConditionEmbedding


class DenoiserBlock(nn.Module):
    """A block of adaptive residual layers: self attention, cross attention to the condition if any, and feed-forward.

    Args:
        width: C, the number of channels.
        conditional: Whether there is a condition to attend to.
    """

    def __init__(self, *, width: int, conditional: bool) -> None:
        super().__init__()
        self.self_attention = AdaptiveResidual(Attention(width=width, cross=False, normed=False), width=width)
        self.condition_attention = (
            AdaptiveResidual(Attention(width=width, cross=True, normed=False), width=width) if conditional else None
        )
        self.feed_forward = AdaptiveResidual(FeedForward(width=width, normed=False), width=width)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor | None) -> Tensor:
        """Map (B, M, C) to the same shape, given a (B, C) noise embedding and (B, T, C) condition tokens."""
        x = self.self_attention(x, embedding)
        if self.condition_attention is not None:
            x = self.condition_attention(x, embedding, tokens)
        return self.feed_forward(x, embedding)


class Backbone(nn.Module):
    """The network F_theta of the stage that generates one level, given the latents of all coarser levels.

    Args:
        levels: Sizes of the autoencoder's levels, fine to coarse; their `depth` is not used here.
        level: Number of the level that this stage generates; 1 is the finest.
        width: C, the number of feature channels of every block, a multiple of 64.
        depth: Number of blocks; the paper has 12 for ShapeNet and 24 for Objaverse-10k.
        num_categories: Number of categories, if the condition is a category.
        condition_dim: Number of channels of the condition, if it is a vector or tokens. If neither this nor
            `num_categories` is given, generation is unconditional.
        conditioning_augmentation: Whether the network receives the noise level of the coarser latents as input
            (Ho et al. 2022, Cascaded Diffusion); False as in the paper.
    """

    def __init__(
        self,
        *,
        levels: Sequence[LevelSpec],
        level: int,
        width: int = 768,
        depth: int = 12,
        num_categories: int | None = None,
        condition_dim: int | None = None,
        conditioning_augmentation: bool = False,
    ) -> None:
        super().__init__()
        self.levels = check_levels(levels)
        if depth > MOST_DEPTH:
            raise ValueError(f"depth must be at most {MOST_DEPTH}, but {depth} was given.")
        if not 1 <= level <= len(self.levels):
            raise ValueError(f"level must be one of 1 (finest) to {len(self.levels)}, but {level} was given.")
        if conditioning_augmentation and level == len(self.levels):
            raise ValueError(
                f"level {level} is the coarsest, so there are no coarser latents to put noise on. "
                "For this stage, set max_coarser_sigma to 0 in the experiment file, or conditioning_augmentation to "
                "False in Python."
            )
        self.level = level
        own_dim = self.levels[level - 1].latent_dim
        conditional = num_categories is not None or condition_dim is not None
        self.embed_noise = NoiseEmbedding(width=width)
        self.embed_coarser_noise = NoiseEmbedding(width=width) if conditioning_augmentation else None
        self.condition = (
            ConditionEmbedding(width=width, num_categories=num_categories, condition_dim=condition_dim)
            if conditional
            else None
        )
        self.to_features = nn.Linear(own_dim, width)
        # Coarsest first, the order of Eq. 12.
        self.coarser_levels = range(len(self.levels), level, -1)
        self.coarser_to_features = nn.ModuleList(
            nn.Linear(self.levels[number - 1].latent_dim, width) for number in self.coarser_levels
        )
        self.resample = nn.ModuleList(
            AdaptiveResidual(Attention(width=width, cross=True, normed=False), width=width) for _ in self.coarser_levels
        )
        self.blocks = nn.ModuleList(DenoiserBlock(width=width, conditional=conditional) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.to_latents = nn.Linear(width, own_dim)
        nn.init.zeros_(self.to_latents.weight)
        nn.init.zeros_(self.to_latents.bias)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        *,
        coarser: Sequence[Tensor] = (),
        condition: Tensor | None = None,
        drop: Tensor | None = None,
        coarser_sigma: Tensor | None = None,
    ) -> Tensor:
        """Return F_theta(x; c_noise).

        Args:
            x: (B, M_i, D_i) noised latents, scaled by c_in.
            c_noise: (B,) noise levels, as EDM passes them to the network: ln(sigma) / 4.
            coarser: Latents Z_j of the L - i coarser levels, (B, M_j, D_j) each, coarsest first.
            condition: (B,) category indices, or (B, condition_dim) or (B, T, condition_dim) embeddings; None uses the
                null token for all samples.
            drop: (B,) bool, True for samples whose condition is replaced by the null token. None keeps all conditions.
            coarser_sigma: (B,) standard deviations of the noise on `coarser`; None means that all are 0. The network
                embeds the values themselves rather than their logarithms, since 0 is a valid value.

        Returns:
            (B, M_i, D_i) output of the network, which is 0 before training.

        Raises:
            ValueError: If latents do not fit their levels, or if a condition or `coarser_sigma` is given but this
                backbone was made without it.
        """
        self._check(x, coarser)
        embedding = self.embed_noise(c_noise)
        if self.embed_coarser_noise is not None:
            embedding = embedding + self.embed_coarser_noise(
                torch.zeros_like(c_noise) if coarser_sigma is None else coarser_sigma
            )
        elif coarser_sigma is not None:
            raise ValueError(
                f"stage {self.level} was made without conditioning_augmentation, but a noise level of the coarser "
                "latents was given. Leave coarser_sigma out, or train a stage with conditioning_augmentation (in an "
                "experiment: with a max_coarser_sigma above 0)."
            )
        tokens = self._tokens(len(x), condition, drop)
        x = self.to_features(x)
        for to_features, resample, latents in zip(self.coarser_to_features, self.resample, coarser, strict=True):
            x = resample(x, embedding, to_features(latents))
        for block in self.blocks:
            x = block(x, embedding, tokens)
        return self.to_latents(self.norm(x))

    def check_latents(self, latents: Tensor, level: int) -> None:
        """Raise ValueError if `latents` do not have the shape (B, M_i, D_i) of that level."""
        expected = (self.levels[level - 1].num_latents, self.levels[level - 1].latent_dim)
        if latents.ndim != 3 or tuple(latents.shape[1:]) != expected:
            raise ValueError(
                f"stage {self.level}: the latents of level {level} must be (B, {expected[0]}, {expected[1]}), but "
                f"{tuple(latents.shape)} was given. Give latents of that level; `coarser` is coarsest first."
            )

    def _check(self, x: Tensor, coarser: Sequence[Tensor]) -> None:
        if len(coarser) != len(self.coarser_levels):
            raise ValueError(
                f"stage {self.level} needs the latents of levels {list(self.coarser_levels)}, coarsest first, but "
                f"{len(coarser)} tensors were given."
            )
        self.check_latents(x, self.level)
        for latents, level in zip(coarser, self.coarser_levels, strict=True):
            self.check_latents(latents, level)

    def _tokens(self, batch_size: int, condition: Tensor | None, drop: Tensor | None) -> Tensor | None:
        if self.condition is None:
            if condition is not None:
                raise ValueError(
                    f"stage {self.level} is unconditional, but a condition was given. Leave the condition out, or "
                    "train a stage with num_categories or condition_dim."
                )
            return None
        if condition is None:
            return self.condition.null_tokens(batch_size)
        return cast(Tensor, self.condition(condition, drop))
