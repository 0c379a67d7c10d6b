"""LightningModules, with optimiser, steps and logging. The networks and losses are in `models` and `diffusion`."""

from lagem.modules.autoencoder import AutoencoderModule
from lagem.modules.stage import CascadeStageModule

__all__ = ["AutoencoderModule", "CascadeStageModule"]
