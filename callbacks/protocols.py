"""Protocols for the modules and data modules that callbacks use, so that callbacks depend on no concrete class."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from lightning.pytorch import Trainer
from torch import Tensor

from lagem.geometry.surface import QueryLogits
from lagem.samples import LatentBatch, OccupancyBatch, ReferenceShape

Item = TypeVar("Item")


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


@runtime_checkable
class CountsItems(Protocol):
    """A progress display that shows how many items of some work are done, next to the name of the work."""

    def count(self, items: Sequence[Item], doing: str) -> Iterator[Item]: ...


def counted(trainer: Trainer, items: Sequence[Item], doing: str) -> Iterator[Item]:
    """Yield items; the progress display of the run shows their number, if it can.

    Args:
        trainer: The trainer of the run.
        items: The items.
        doing: What is done with the items, such as "scoring shapes".
    """
    progress = trainer.progress_bar_callback
    return progress.count(items, doing) if isinstance(progress, CountsItems) else iter(items)
