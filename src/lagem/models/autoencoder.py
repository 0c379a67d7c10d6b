"""Hierarchical VecSet autoencoder (LaGeM §3.2, Fig. 4); with one level it is VecSet (Fig. 3).

Letters: B shapes, N input points, M_i latents of level i with D_i channels, C feature channels,
L levels, Q query points. Every sequence over levels runs fine to coarse: `latents[i - 1]` is Z_i.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lagem.levels import LevelSpec, check_levels
from lagem.models.attention import Attention, Block, KeysValues, Step
from lagem.models.bottleneck import KLBottleneck, StandardisedBottleneck, make_bottleneck
from lagem.models.embedding import OCTAVES, PointEmbedding, PointFeatures, point_features
from lagem.models.furthest_points import FPSBackend, furthest_point_order
from lagem.models.queries.decoder import QueryDecoder
from lagem.models.queries.field import Field

Skip = Literal["double", "single"]
Bottleneck = StandardisedBottleneck | KLBottleneck


@dataclass(frozen=True)
class AutoencoderOutput:
    """Output of the network in a training step.

    logits: (B, Q), positive inside.
    latents: latents of all levels, (B, M_i, D_i) each, fine to coarse.
    kl: (B,) KL terms, summed over levels; 0 if no level has a KL bottleneck.
    """

    logits: Tensor
    latents: list[Tensor]
    kl: Tensor


class Autoencoder(nn.Module):
    """Encodes points to latents of L levels, and decodes latents to an occupancy field.

    Args:
        levels: Sizes of the levels, fine to coarse.
        width: C, the number of feature channels of every block, a multiple of 64.
        skip: Whether the decoder adds the input X'_i of an upsampling block U to the block's output, before the
            self-attention blocks SAs. U is a cross-attention `Block`. `double` adds the input, as in the published
            weights: F_i = SAs(X'_i + U(X'_i, F_{i+1})). `single` does not: F_i = SAs(U(X'_i, F_{i+1})); this is Eq. 8
            as printed.
        octaves: Number of frequencies of the point embedding, pi * 2^k on each axis for k = 0, 1, ....
        single_head_cross: Whether cross attention has one head of C channels, as in the published weights of VecSet,
            instead of heads of 64 channels.
        fps: Backend of furthest point sampling. On CUDA, `auto` uses torch_cluster or, if it is missing, triton; on the
            CPU, it uses quickfps. Without these, it uses a slow torch loop (see `furthest_point_order`).
        step: How a training step is computed; all ways give the same result up to rounding. `plain` runs layer by
            layer. `lean` multiplies weight matrices in advance, so that attention involving points needs fewer
            operations per point (`lagem.models.queries.decoder`). In the backward pass, it recomputes the attention
            scores of queries, and everything that takes no matrix product. It needs about half the memory of `plain`,
            and less time. `leanest` also recomputes the first linear layer of feed-forward layers. It needs about a
            quarter of the memory of `plain`, and about the same time as `plain`.
        checkpoint_activations: Recompute whole self-attention blocks in the backward pass, whatever `step` is.
    """

    def __init__(
        self,
        *,
        levels: Sequence[LevelSpec],
        width: int = 512,
        skip: Skip = "double",
        octaves: int = OCTAVES,
        single_head_cross: bool = False,
        fps: FPSBackend = "auto",
        step: Step = "lean",
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        if step not in get_args(Step):
            raise ValueError(f"step must be one of {', '.join(get_args(Step))}, but {step!r} was given.")
        self.levels = check_levels(levels)
        self.width = width
        self.skip = skip
        self.octaves = octaves
        self.single_head_cross = single_head_cross
        self.fps: FPSBackend = fps
        self.step: Step = step
        self.checkpoint_activations = checkpoint_activations
        self.point_embedding = PointEmbedding(width=width, octaves=octaves)
        cross_block = partial(Block, width=width, cross=True, single_head=single_head_cross, step=step)
        self.downsample = nn.ModuleList(cross_block() for _ in self.levels)
        self.bottlenecks = nn.ModuleList(make_bottleneck(level, width=width) for level in self.levels)
        self.upsample = nn.ModuleList(cross_block() for _ in self.levels[1:])
        in_blocks: Step = "plain" if checkpoint_activations else step
        self.self_attention = nn.ModuleList(
            nn.ModuleList(Block(width=width, cross=False, step=in_blocks) for _ in range(level.depth))
            for level in self.levels
        )
        self.query_attention = nn.ModuleList(
            Attention(width=width, cross=True, single_head=single_head_cross, step=step) for _ in self.levels
        )
        self.to_logits = nn.Linear(len(self.levels) * width, 1)

    def forward(
        self,
        surface_points: Tensor,
        query_points: Tensor,
        *,
        anchor_indices: Tensor | None = None,
        generators: Sequence[torch.Generator] | None = None,
        finest: Tensor | None = None,
    ) -> AutoencoderOutput:
        """Encode points, decode the latents, and answer queries.

        Args:
            surface_points: (B, N, 3) in the unit-sphere frame.
            query_points: (B, Q, 3) in the same frame.
            anchor_indices: As in `encode`.
            generators: A CPU generator for each shape, with which the posteriors of KL levels are sampled; None uses
                the means of the posteriors.
            finest: (B,) for each shape, the number of the finest level that is used. The latents of finer levels are
                set to 0, because their mean is 0. None uses all levels.
        """
        latents, kl = self._encode(surface_points, anchor_indices, generators)
        used = latents
        if finest is not None:
            used = [z * (finest <= level).to(z.dtype)[:, None, None] for level, z in enumerate(latents, start=1)]
        field = self.decode(used, fold=self.step != "plain")
        return AutoencoderOutput(logits=field(query_points), latents=latents, kl=kl)

    def encode(
        self,
        surface_points: Tensor,
        *,
        anchor_indices: Tensor | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> list[Tensor]:
        """Encode points to the latents of all levels.

        Args:
            surface_points: (B, N, 3) in the unit-sphere frame, for any N.
            anchor_indices: (B, M_1) indices of points to use as anchors instead of those that furthest point sampling
                selects; level i uses the first M_i of them.
            generators: As in `forward`.

        Returns:
            L tensors (B, M_i, D_i), the latents Z_i, fine to coarse.
        """
        return self._encode(surface_points, anchor_indices, generators)[0]

    def features(self, surface_points: Tensor) -> list[Tensor]:
        """Encode points to the features of all levels, from which the bottlenecks make the latents.

        Args:
            surface_points: As in `encode`.

        Returns:
            L tensors (B, M_i, C), the features X_i, fine to coarse.
        """
        return list(self._features(surface_points, None))

    def decode(self, latents: Sequence[Tensor], *, fold: bool = True) -> Field:
        """Decode latents to a field, from the coarsest level to the finest (Eq. 7-9).

        Args:
            latents: Latents of all levels, (B, M_i, D_i) each, fine to coarse.
            fold: Whether the field multiplies the weights of the query decoder in advance with the keys and values of
                the decoded latents ("folds" them). This makes queries faster, and gives the same logits up to rounding.
        """
        if len(latents) != len(self.levels):
            raise ValueError(f"latents of {len(self.levels)} levels are needed, but {len(latents)} tensors were given.")
        keys_values: list[KeysValues] = []
        coarser: Tensor | None = None  # F_{i+1}
        for index in reversed(range(len(self.levels))):
            features = cast(Bottleneck, self.bottlenecks[index]).to_features(latents[index])
            if coarser is not None:
                resampled = self.upsample[index](features, coarser)
                features = features + resampled if self.skip == "double" else resampled
            for block in cast(nn.ModuleList, self.self_attention[index]):
                if self.checkpoint_activations and torch.is_grad_enabled():
                    features = checkpoint(block, features, use_reentrant=False)
                else:
                    features = block(features)
            keys_values.append(cast(Attention, self.query_attention[index]).keys_values(features))
            coarser = features
        return Field(self.query_decoder, keys_values[::-1], fold=fold)

    @property
    def encoder_layers(self) -> nn.ModuleList:
        """The layers on which latents depend, shared with this network.

        The embedding of points is one of them, although it embeds queries too.
        """
        to_latents = (layer for each in self.bottlenecks for layer in cast(Bottleneck, each).encoder_layers)
        return nn.ModuleList([self.point_embedding, self.downsample, *to_latents])

    @property
    def query_decoder(self) -> QueryDecoder:
        """The layers that answer queries, shared with this network."""
        return QueryDecoder(self.point_embedding, cast(Sequence[Attention], self.query_attention), self.to_logits)

    def _encode(
        self,
        surface_points: Tensor,
        anchor_indices: Tensor | None,
        generators: Sequence[torch.Generator] | None,
    ) -> tuple[list[Tensor], Tensor]:
        latents = []
        kl = torch.zeros(len(surface_points), device=surface_points.device)
        for features, bottleneck in zip(self._features(surface_points, anchor_indices), self.bottlenecks, strict=True):
            drawn, divergence = cast(Bottleneck, bottleneck).to_latents(features, generators)
            latents.append(drawn)
            if divergence is not None:
                kl = kl + divergence
        return latents, kl

    def _features(self, surface_points: Tensor, anchor_indices: Tensor | None) -> Iterator[Tensor]:
        """Yield the (B, M_i, C) features X_i of each level, fine to coarse.

        They are CA(P_1, P_0) at the finest level and CA(P_i, X_{i-1}) at the others. CA is cross attention, P_0 are the
        embedded points, and P_i are the embedded anchors of level i.
        """
        if anchor_indices is None:
            anchor_indices = furthest_point_order(surface_points, self.levels[0].num_latents, backend=self.fps)
        context: Tensor | PointFeatures
        if self.step == "plain" or not torch.is_grad_enabled():
            embedded = context = self.point_embedding(surface_points)
            anchors = _gathered(embedded, anchor_indices)
        else:
            context = point_features(self.point_embedding, surface_points, self.query_decoder.eps)
            anchors = self.point_embedding(_gathered(surface_points, anchor_indices))
        for level, downsample in zip(self.levels, self.downsample, strict=True):
            features: Tensor = downsample(anchors[:, : level.num_latents], context)
            yield features
            context = features


def _gathered(vectors: Tensor, indices: Tensor) -> Tensor:
    """Select vectors by index: return (B, M, D), given (B, N, D) vectors and (B, M) indices into their second axis."""
    return vectors.gather(1, indices.unsqueeze(-1).expand(-1, -1, vectors.shape[-1]))
