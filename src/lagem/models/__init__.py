"""The networks, in pure torch."""

from lagem.models.autoencoder import Autoencoder, Field, Reconstruction
from lagem.models.denoiser import Backbone
from lagem.models.furthest_points import furthest_point_order

__all__ = ["Autoencoder", "Backbone", "Field", "Reconstruction", "furthest_point_order"]
