"""The samples and batches that data modules yield, and that training and evaluation steps take.

Letters: B shapes, N input points, Q query points of one kind, R reference points, V volume points, M_i latents of
level i with D_i channels, T tokens.
Coordinates are in the unit-sphere frame: the bounding box is centred, and the largest norm is 1. Occupancy is 1 inside.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from lagem.geometry.frame import Frame


@dataclass(frozen=True)
class OccupancySample:
    """One shape as the input of a training step of the autoencoder.

    surface_points: (N, 3) float32, the network's input P_0.
    volume_points: (Q, 3) float32, volume queries; half of them are inside the shape (LaGeM appendix D).
    volume_occupancy: (Q,) float32 in {0, 1}.
    near_points: (Q', 3) float32, near queries, which are surface points with Gaussian jitter of sigma 0.005 or 0.05.
    near_occupancy: (Q',) float32 in {0, 1}.
    frame: The frame before augmentation; it maps the source's coordinates to the unit sphere and back.
    """

    id: str
    category: str
    surface_points: Tensor
    volume_points: Tensor
    volume_occupancy: Tensor
    near_points: Tensor
    near_occupancy: Tensor
    frame: Frame


@dataclass(frozen=True)
class Batch:
    """B shapes with their ids and categories. Each method applies to all tensors, including those in lists."""

    ids: list[str]
    categories: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Self:
        """Return the batch on another device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, from which a copy to a GPU does not block; data loaders call this."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def first(self, count: int) -> Self:
        """Return the batch of the first `count` shapes, or of all if there are fewer."""

        def first_of(value: Any) -> Any:
            if isinstance(value, list) and value and isinstance(value[0], Tensor):  # one tensor of B rows per level
                return [level[:count] for level in value]
            return None if value is None else value[:count]

        return dataclasses.replace(self, **{name: first_of(value) for name, value in vars(self).items()})

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        def mapped(value: Any) -> Any:
            if isinstance(value, list):
                return [mapped(entry) for entry in value]
            return change(value) if isinstance(value, Tensor) else value

        return dataclasses.replace(self, **{name: mapped(value) for name, value in vars(self).items()})


@dataclass(frozen=True)
class OccupancyBatch(Batch):
    """B stacked samples: the tensors are those of `OccupancySample` with a leading axis B."""

    surface_points: Tensor
    volume_points: Tensor
    volume_occupancy: Tensor
    near_points: Tensor
    near_occupancy: Tensor
    frames: list[Frame]

    @classmethod
    def collate(cls, samples: list[OccupancySample]) -> "OccupancyBatch":
        """Return the batch of some samples, whose tensors must have equal sizes."""

        def stack(name: str) -> Tensor:
            return torch.stack([getattr(sample, name) for sample in samples])

        return cls(
            ids=[sample.id for sample in samples],
            categories=[sample.category for sample in samples],
            surface_points=stack("surface_points"),
            volume_points=stack("volume_points"),
            volume_occupancy=stack("volume_occupancy"),
            near_points=stack("near_points"),
            near_occupancy=stack("near_occupancy"),
            frames=[sample.frame for sample in samples],
        )


@dataclass(frozen=True)
class LatentSample:
    """One shape as the input of a training step of a stage of the cascade.

    condition: The index of the category, () int64; an embedding, (dim,) or (T, dim) float32; or None.
    latents: L tensors Z_i, (M_i, D_i) float32, fine to coarse.
    frame: The frame before augmentation; it maps the source's coordinates to the unit sphere and back.
    """

    id: str
    category: str
    condition: Tensor | None
    latents: list[Tensor]
    frame: Frame


@dataclass(frozen=True)
class LatentBatch(Batch):
    """B stacked samples of type `LatentSample`.

    condition: Indices of the categories, (B,) int64; embeddings, (B, dim) or (B, T, dim) float32; or None.
    latents: L tensors, (B, M_i, D_i) float32, fine to coarse: `latents[i - 1]` is Z_i.
    """

    condition: Tensor | None
    latents: list[Tensor]
    frames: list[Frame]

    @classmethod
    def collate(cls, samples: list[LatentSample]) -> "LatentBatch":
        """Return the batch of some samples, whose tensors must have equal sizes.

        Either every sample must have a condition, or none.
        """
        conditions = [sample.condition for sample in samples if sample.condition is not None]
        return cls(
            ids=[sample.id for sample in samples],
            categories=[sample.category for sample in samples],
            condition=torch.stack(conditions) if conditions else None,
            latents=[torch.stack(level) for level in zip(*(sample.latents for sample in samples), strict=True)],
            frames=[sample.frame for sample in samples],
        )


@dataclass(frozen=True)
class ReferenceShape:
    """One validation shape, with the ground truth that the published metrics need.

    surface_points: (N, 3) float32, the network's input.
    reference_points: (R, 3) float32, the stored surface points.
    volume_points: (V, 3) float32, every stored volume point.
    volume_occupancy: (V,) bool, True inside.
    volume_weight: (V,) float32, proportional to the volume that a point represents.
    """

    id: str
    category: str
    surface_points: Tensor
    reference_points: Tensor
    volume_points: Tensor
    volume_occupancy: Tensor
    volume_weight: Tensor
    frame: Frame
