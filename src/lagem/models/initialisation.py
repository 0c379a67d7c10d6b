"""Initial weights with which short trainings learn positions sooner: smooth embeddings, and attention to near points.

In the published initialisation, every octave of the point embedding has the same weight, queries and keys are
unrelated, and latents are random mixtures. A network then trains for a long time before it knows that near points
belong together and where each latent is. Only the initial values differ here: the architecture, and the functions it
can learn, are the published ones.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from lagem.models.attention import Attention, Block
from lagem.models.autoencoder import Autoencoder
from lagem.models.bottleneck import KLBottleneck, StandardisedBottleneck

OCTAVE_DECAY = 0.5  # octave k starts with 2^(-k / 2) times the weights of the first
SHARPNESS = 1.5  # factor by which the initial queries and keys are multiplied, which makes attention sharper
PLACE_SHARE = 0.75  # fraction of a latent's channels that start as the position of its anchor
PLACE_RADIUS = 0.8  # `start_anchored` computes the principal components for points in a ball of this radius
LOG_VARIANCE = -5.0  # of the posteriors of KL levels; their noise has 1/150 of the power of the position channels


@torch.no_grad()
def start_local(autoencoder: Autoencoder) -> None:
    """Change the weights of a new network in place, so that cross attention starts by attending to near points.

    Low octaves dominate the point embedding, and the key weights of cross attention equal the query weights.
    """
    octaves = 2.0 ** (-OCTAVE_DECAY * torch.arange(autoencoder.octaves))
    weights = torch.cat([octaves.repeat(6), torch.ones(3)])  # sines and cosines of x, y, z, then x, y, z
    autoencoder.point_embedding.linear.weight.mul_(weights / weights.square().mean().sqrt())
    for module in autoencoder.modules():
        if isinstance(module, Attention) and module.norm_context is not None:
            module.to_q.weight.mul_(SHARPNESS)
            module.to_kv.weight[: autoencoder.width].copy_(module.to_q.weight)


@torch.no_grad()
def start_anchored(autoencoder: Autoencoder) -> None:
    """Do the same as `start_local`, and let latents start as encodings of the positions of their anchors.

    This computes the principal components of the embeddings of points in a ball. In the initial network, most of a
    latent's channels are projections of its features onto these components. On a KL level, this holds for the mean of
    the posterior. The layer `up` maps these channels back to features along the same components. So the decoded
    features of a latent start near the embedding of its anchor, and on every level, queries attend to the latents near
    them from the first step. The posteriors of KL levels start with little noise. With torch's defaults, the noise
    would have unit variance, and the means would be smaller than the noise.
    """
    start_local(autoencoder)
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(20_000, 3, generator=generator), dim=-1)
    radii = PLACE_RADIUS * torch.rand(20_000, 1, generator=generator) ** (1 / 3)
    embedded = autoencoder.point_embedding(radii * directions)
    mean = embedded.mean(dim=0)
    variances, components = torch.linalg.eigh((embedded - mean).T @ (embedded - mean) / len(embedded))  # ascending
    most = int((variances > 1e-4 * variances[-1]).sum())
    for module in autoencoder.bottlenecks:
        bottleneck = cast(KLBottleneck | StandardisedBottleneck, module)
        down = bottleneck.mean if isinstance(bottleneck, KLBottleneck) else bottleneck.down
        count = min(round(PLACE_SHARE * down.out_features), most)
        axes, deviations = components[:, -count:], variances[-count:].sqrt()
        down.weight[:count] = (axes / deviations).T
        down.bias[:count] = -down.weight[:count] @ mean
        bottleneck.up.weight[:, :count] = axes * deviations
        bottleneck.up.bias.copy_(mean)
        if isinstance(bottleneck, KLBottleneck):
            bottleneck.log_variance.weight.zero_()
            bottleneck.log_variance.bias.fill_(LOG_VARIANCE)


@torch.no_grad()
def start_without_effect(autoencoder: Autoencoder, depths: Sequence[int]) -> None:
    """Change the self-attention blocks beyond a depth in place, so that each starts as the identity.

    Args:
        autoencoder: The network.
        depths: For each level, fine to coarse, the number of blocks that stay as they are.
    """
    for blocks, depth in zip(autoencoder.self_attention, depths, strict=True):
        for block in cast(Sequence[Block], blocks)[depth:]:
            for linear in (block.attention.to_out, block.feed_forward.contract):
                nn.init.zeros_(linear.weight)
                nn.init.zeros_(linear.bias)
