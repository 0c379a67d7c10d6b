"""The networks, in pure torch."""

from lagem.models.autoencoder import Autoencoder, AutoencoderOutput
from lagem.models.denoiser import Backbone
from lagem.models.furthest_points import furthest_point_order
from lagem.models.queries.field import Field

__all__ = ["Autoencoder", "AutoencoderOutput", "Backbone", "Field", "furthest_point_order"]
