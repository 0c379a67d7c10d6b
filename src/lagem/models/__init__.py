"""The networks, in pure torch."""

from lagem.models.autoencoder import Autoencoder, AutoencoderOutput, Field
from lagem.models.denoiser import Backbone
from lagem.models.furthest_points import furthest_point_order

__all__ = ["Autoencoder", "AutoencoderOutput", "Backbone", "Field", "furthest_point_order"]
