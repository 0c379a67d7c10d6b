"""LaGeM: hierarchical VecSet autoencoder and cascaded latent diffusion for 3D shapes."""

__version__ = "0.1.0"
