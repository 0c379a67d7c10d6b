"""Make codecs whose field is known, for tests of reconstruction."""

import torch

from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.reconstruction.codec import ShapeCodec
from lagem.weights.autoencoder import AutoencoderSpec


def constant_codec(logit: float) -> ShapeCodec:
    """Return a codec whose field is `logit` everywhere."""
    torch.manual_seed(0)
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, depth=0), LevelSpec(2, 6, depth=0)], width=64)
    torch.nn.init.zeros_(autoencoder.to_logits.weight)
    torch.nn.init.constant_(autoencoder.to_logits.bias, logit)
    return ShapeCodec(autoencoder, AutoencoderSpec.of(autoencoder, num_surface_points=64))
