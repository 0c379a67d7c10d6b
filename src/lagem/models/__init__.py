"""The networks, in pure torch."""

from lagem.models.autoencoder import Autoencoder, Field, Reconstruction
from lagem.models.sampling import furthest_point_order

__all__ = ["Autoencoder", "Field", "Reconstruction", "furthest_point_order"]
