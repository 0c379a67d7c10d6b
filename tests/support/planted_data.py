"""Data with planted faults.

`PlantedData` is a data module that configurations can name; `change_shards` changes the shapes of a prepared folder.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lagem.data_modules.procedural import ProceduralDataModule
from lagem.data_modules.stream import ShapeSet
from lagem.prepared.shard_file import ShapeArrays, ShardFile, write_shard
from lagem.randomness import sample_generator
from lagem.samples import OccupancySample, ReferenceShape

Plant = Callable[[OccupancySample, float, np.random.Generator], OccupancySample]


def flip(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Flip each label with probability `strength`."""

    def flipped(labels: torch.Tensor) -> torch.Tensor:
        chosen = torch.from_numpy(rng.random(len(labels)) < strength)
        return torch.where(chosen, 1 - labels, labels)

    volume, near = flipped(sample.volume_occupancy), flipped(sample.near_occupancy)
    return replace(sample, volume_occupancy=volume, near_occupancy=near)


def flip_shapes(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Flip all labels of a fraction `strength` of the shapes."""
    return flip(sample, float(sample_generator(1, 0, sample.id).random() < strength), rng)


def scale(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Scale all points of a sample by `strength`."""
    return moved(sample, lambda points: points * strength, queries=True)


def shift(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Shift all points of a sample along x by `strength`."""
    return moved(sample, lambda points: points + torch.tensor([strength, 0, 0]), queries=True)


def shift_surface(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Shift only the surface points along x by `strength`, so that the queries are in another frame."""
    return moved(sample, lambda points: points + torch.tensor([strength, 0, 0]), queries=False)


def shift_volume(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Shift only the volume queries along x by `strength`."""
    return replace(sample, volume_points=sample.volume_points + torch.tensor([strength, 0, 0]))


def swap_axes_of_surface(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Exchange y and z of the surface points only, in a fraction `strength` of the shapes."""
    if sample_generator(1, 0, sample.id).random() >= strength:
        return sample
    return moved(sample, lambda points: points[:, [0, 2, 1]], queries=False)


def moved(sample: OccupancySample, move: Callable[[torch.Tensor], torch.Tensor], *, queries: bool) -> OccupancySample:
    names = ("surface_points", "volume_points", "near_points") if queries else ("surface_points",)
    return replace(sample, **{name: move(getattr(sample, name)) for name in names})


def unbalance(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Resample the volume queries with replacement, so that a fraction `strength` of them is inside."""
    labels = sample.volume_occupancy > 0.5
    inside = round(strength * len(labels))
    index = [
        rng.choice(np.flatnonzero(labels == side), count)
        for side, count in ((True, inside), (False, len(labels) - inside))
    ]
    chosen = torch.from_numpy(np.concatenate(index))
    return replace(sample, volume_points=sample.volume_points[chosen], volume_occupancy=sample.volume_occupancy[chosen])


def not_a_number(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Make one surface point NaN in a fraction `strength` of the shapes."""
    if sample_generator(1, 0, sample.id).random() >= strength:
        return sample
    points = sample.surface_points.clone()
    points[0, 0] = torch.nan
    return replace(sample, surface_points=points)


def zero_surface(sample: OccupancySample, strength: float, rng: np.random.Generator) -> OccupancySample:
    """Set all surface points to 0 in a fraction `strength` of the shapes, as NaN is stored."""
    if sample_generator(1, 0, sample.id).random() >= strength:
        return sample
    return replace(sample, surface_points=torch.zeros_like(sample.surface_points))


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        *(flip, flip_shapes, scale, shift, shift_surface, shift_volume, swap_axes_of_surface, unbalance, not_a_number),
        zero_surface,
    )
}


class PlantedShapes(ShapeSet):
    """The shapes of another set, with a planted fault."""

    def __init__(self, shapes: ShapeSet, plant: Plant, strength: float, *, epoch: int = 0) -> None:
        self._shapes, self._plant, self._strength, self._epoch = shapes, plant, strength, epoch

    def __len__(self) -> int:
        return len(self._shapes)

    def category(self, index: int) -> str:
        return self._shapes.category(index)

    def __getitem__(self, key: tuple[int, int]) -> OccupancySample:
        sample = self._shapes[key[0] + self._epoch, key[1]]
        return self._plant(sample, self._strength, sample_generator(2, key[0], sample.id))

    def reference(self, index: int) -> ReferenceShape:
        return self._shapes.reference(index)


class MixedShapes(ShapeSet):
    """The shapes of one set, except that the first `count` are taken from another set."""

    def __init__(self, shapes: ShapeSet, others: ShapeSet, count: int) -> None:
        self._shapes, self._others, self._count = shapes, others, count

    def _of(self, index: int) -> ShapeSet:
        return self._others if index < self._count else self._shapes

    def __len__(self) -> int:
        return len(self._shapes)

    def category(self, index: int) -> str:
        return self._of(index).category(index)

    def __getitem__(self, key: tuple[int, int]) -> OccupancySample:
        return self._of(key[1])[key]

    def reference(self, index: int) -> ReferenceShape:
        return self._of(index).reference(index)


class PlantedData(ProceduralDataModule):
    """Procedural furniture with a planted fault."""

    def __init__(self, *, fault: str, strength: float, **settings: Any) -> None:
        """Plant a fault.

        Args:
            fault: A name in `PLANTS`, or the name of a fault in only a fraction of the validation shapes: `leak`
                (training shapes replace them), `copies` (training shapes with new points and ids replace them), or
                `turn` (their y and z are exchanged).
            strength: Strength of the fault; for `leak`, `copies` and `turn`, the fraction.
            **settings: As for `ProceduralDataModule`.
        """
        super().__init__(**settings)
        if fault == "leak":
            count = round(strength * len(self.val_shapes))
            self.val_shapes = MixedShapes(self.val_shapes, self.train_shapes, count)  # type: ignore[assignment]
        elif fault == "copies":
            renamed = PlantedShapes(self.train_shapes, lambda s, _, __: replace(s, id=f"copy-of-{s.id}"), 1.0, epoch=1)
            count = round(strength * len(self.val_shapes))
            self.val_shapes = MixedShapes(self.val_shapes, renamed, count)  # type: ignore[assignment]
        elif fault == "turn":
            turned = PlantedShapes(
                self.val_shapes, lambda s, _, __: moved(s, lambda p: p[:, [0, 2, 1]], queries=True), 1.0
            )
            count = round(strength * len(self.val_shapes))
            self.val_shapes = MixedShapes(self.val_shapes, turned, count)  # type: ignore[assignment]
        else:
            plant = PLANTS[fault]
            self.train_shapes = PlantedShapes(self.train_shapes, plant, strength)  # type: ignore[assignment]
            self.val_shapes = PlantedShapes(self.val_shapes, plant, strength)  # type: ignore[assignment]


def change_shards(root: Path, change: Callable[[ShapeArrays], ShapeArrays]) -> None:
    """Apply `change` to every shape of a prepared folder, and write the shards anew, with valid checksums."""
    for path in (root / "shards").glob("*.safetensors"):
        shard = ShardFile(path)
        write_shard(path, [change(shard.shape(row)) for row in range(len(shard.ids))])
