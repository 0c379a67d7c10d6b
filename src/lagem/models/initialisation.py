"""A start from which short trainings learn where things are: smooth embeddings, attention to what is near.

The published start gives every octave of the point embedding the same weight, and queries and keys that know nothing
of each other, so that a network first learns for long that near points belong together. Only first values differ
here; the architecture, and what it can become, are the published ones.
"""

import torch

from lagem.models.attention import Attention
from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import OCTAVES

OCTAVE_DECAY = 0.5  # octave k starts with weights 2^(-k / 2) of the first one's
SHARPNESS = 1.5  # of the first attention: factor on queries and on keys


@torch.no_grad()
def start_local(autoencoder: Autoencoder) -> None:
    """Rescale a freshly made network in place: low octaves first, and keys equal to queries in cross attention."""
    octaves = 2.0 ** (-OCTAVE_DECAY * torch.arange(OCTAVES))
    weights = torch.cat([octaves.repeat(6), torch.ones(3)])  # sines and cosines of x, y, z, then x, y, z
    autoencoder.point_embedding.linear.weight.mul_(weights / weights.square().mean().sqrt())
    for module in autoencoder.modules():
        if isinstance(module, Attention) and module.norm_context is not None:
            module.to_q.weight.mul_(SHARPNESS)
            module.to_kv.weight[: autoencoder.width].copy_(module.to_q.weight)
