"""Protocols for the modules and data modules that callbacks use, so that callbacks depend on no concrete class."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from lagem.geometry.surface import QueryLogits
from lagem.samples import LatentBatch, OccupancyBatch, ReferenceShape


class DecodedBatch(Protocol):
    """The occupancy fields decoded for a batch of shapes; `select` returns the field of one shape."""

    def select(self, index: int) -> QueryLogits: ...


class Reconstructs(Protocol):
    """A module that reconstructs B shapes from (B, N, 3) surface points.

    `reconstruct` returns their fields, decoded from level `finest` and all coarser levels.
    """

    @property
    def num_levels(self) -> int: ...

    def reconstruct(self, surface_points: Tensor, *, finest: int = 1) -> DecodedBatch: ...


class EncodesShapes(Protocol):
    """A network with latents of several levels, fine to coarse, that answers queries (B, Q, 3) with logits (B, Q)."""

    def encode(self, surface_points: Tensor) -> list[Tensor]: ...

    def decode(self, latents: Sequence[Tensor]) -> Callable[[Tensor], Tensor]: ...


class SamplesLevel(Protocol):
    """A module that samples the latents of one level, given the true latents of the coarser levels.

    `fields` decodes a batch from its true latents. If `sampled` is given, it replaces those of the module's level. The
    result is None if the module has no autoencoder.
    """

    @property
    def level(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def sample(self, batch: LatentBatch | OccupancyBatch) -> Tensor: ...

    def fields(self, batch: LatentBatch | OccupancyBatch, sampled: Tensor | None = None) -> DecodedBatch | None: ...


class HasReferences(Protocol):
    """A data module that can return a fixed choice of its validation or test shapes with their ground truth."""

    def reference_shapes(self, count: int, *, rank: int = 0, world_size: int = 1) -> list[ReferenceShape]: ...
