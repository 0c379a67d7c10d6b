"""What the callbacks need of a module and of a data module, as protocols instead of classes."""

from typing import Protocol

from torch import Tensor

from lagem.geometry.surface import QueryLogits
from lagem.samples import LatentBatch, OccupancyBatch, ReferenceShape


class DecodedBatch(Protocol):
    """Fields of a batch of shapes, from which one can be selected."""

    def select(self, index: int) -> QueryLogits: ...


class Reconstructs(Protocol):
    """A module that turns (B, N, 3) surface points into fields, using the levels from `finest` to the coarsest."""

    @property
    def num_levels(self) -> int: ...

    def reconstruct(self, surface_points: Tensor, *, finest: int = 1) -> DecodedBatch: ...


class SamplesLevel(Protocol):
    """A module that samples the latents of one level given the true coarser ones, and may decode them."""

    @property
    def level(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def sample(self, batch: LatentBatch | OccupancyBatch) -> Tensor: ...

    def fields(self, batch: LatentBatch | OccupancyBatch, sampled: Tensor | None = None) -> DecodedBatch | None: ...


class HasReferences(Protocol):
    """A data module with the ground truth of a fixed set of validation shapes."""

    def reference_shapes(self, count: int, *, rank: int = 0, world_size: int = 1) -> list[ReferenceShape]: ...
