"""LightningModules: optimiser, steps and logging; the mathematics lives in `models` and `diffusion`."""

from lagem.modules.autoencoder import AutoencoderModule

__all__ = ["AutoencoderModule"]
