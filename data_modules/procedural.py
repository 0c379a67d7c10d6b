"""The data module for random furniture with exact occupancy, generated during training without any file.

The parameters of a shape are keyed by (seed, 0, id), so an id is the same shape in every epoch. The points of a sample
are keyed by (seed, epoch, id), so they are drawn anew in every epoch. Training and validation ids differ, so no shape
is in both sets.
"""

from functools import partial

import numpy as np
import torch

from lagem.data_modules.order import Key
from lagem.data_modules.stream import ShapeDataModule, ShapeSet, augmented
from lagem.geometry.frame import QUERY_BALL_VOLUME
from lagem.procedural.collection import Collection
from lagem.procedural.furniture import CATEGORIES
from lagem.procedural.queries import draw_sample
from lagem.randomness import sample_generator
from lagem.samples import OccupancySample, ReferenceShape
from lagem.sources.augmentation import Augmentation


class ProceduralDataModule(ShapeDataModule):
    """Random tables, chairs, lamps, shelves, mugs, benches, bottles and signs, with z up."""

    train_shapes: "ProceduralShapes"
    val_shapes: "ProceduralShapes"

    def __init__(
        self,
        *,
        seed: int = 0,
        num_train: int = 100_000,
        num_val: int = 64,
        batch_size: int = 16,
        num_surface_points: int = 2048,
        num_volume_queries: int = 1024,
        num_near_queries: int = 1024,
        num_workers: int = 2,
        augment: Augmentation | None = None,
        categories: list[str] | None = None,
        reference_points: int = 100_000,
        reference_volume_points: int = 100_000,
    ) -> None:
        """Generate random furniture.

        Args:
            seed: Seed of the shapes, of their order, and of all random draws.
            num_train: Number of training shapes.
            num_val: Number of validation shapes; `test` and `predict` use them too.
            batch_size: Number of shapes in a batch on one rank.
            num_surface_points: Number of surface points in a sample.
            num_volume_queries: Number of volume queries in a sample; half of them are inside.
            num_near_queries: Number of near queries in a sample.
            num_workers: Number of loading processes per rank; 0 loads in the training process.
            augment: Augmentation of training samples; null for none.
            categories: Categories to generate in turn; null for all.
            reference_points: Number of surface points of a shape in evaluation.
            reference_volume_points: Number of volume points of a shape in evaluation; half of them are inside.
        """
        super().__init__(seed=seed, batch_size=batch_size, num_workers=num_workers)
        unknown = sorted(set(categories or ()) - set(CATEGORIES))
        if unknown or categories == []:
            raise ValueError(f"categories must be among {', '.join(CATEGORIES)}, but {unknown or 'none'} was given.")
        if num_volume_queries % 2:
            raise ValueError(
                f"num_volume_queries must be even, because half of them are inside, but {num_volume_queries} was given."
            )
        shapes = partial(
            ProceduralShapes,
            seed=seed,
            categories=categories or list(CATEGORIES),
            num_surface_points=num_surface_points,
            num_volume_queries=num_volume_queries,
            num_near_queries=num_near_queries,
            reference_points=reference_points,
            reference_volume_points=reference_volume_points,
        )
        self.train_shapes = shapes(split="train", count=num_train, augment=augment)
        self.val_shapes = self.test_shapes = shapes(split="val", count=num_val, augment=None)


class ProceduralShapes(ShapeSet):
    """The `count` shapes of a split; the categories take turns. `ProceduralDataModule` explains the other arguments."""

    def __init__(
        self,
        *,
        split: str,
        count: int,
        seed: int,
        categories: list[str],
        num_surface_points: int,
        num_volume_queries: int,
        num_near_queries: int,
        augment: Augmentation | None,
        reference_points: int,
        reference_volume_points: int,
    ) -> None:
        self._seed = seed
        self.collection = Collection(split=split, count=count, seed=seed, categories=categories)
        self._surface, self._volume, self._near = num_surface_points, num_volume_queries, num_near_queries
        self._augment = augment
        self._reference_points, self._reference_volume = reference_points, reference_volume_points

    def __len__(self) -> int:
        return len(self.collection)

    def category(self, index: int) -> str:
        return self.collection.category(index)

    def __getitem__(self, key: Key) -> OccupancySample:
        epoch, index = key
        shape = self.collection.shape(index)
        rng = sample_generator(self._seed, epoch, f"{self.collection.id(index)}/points")
        points, near_occupancy = draw_sample(shape, (self._surface, self._volume, self._near), rng)
        return OccupancySample(
            id=self.collection.id(index),
            category=self.category(index),
            volume_occupancy=torch.arange(self._volume).lt(self._volume // 2).float(),
            near_occupancy=torch.from_numpy(near_occupancy).float(),
            frame=shape.frame,
            **augmented(self._augment, points, rng),
        )

    def reference(self, index: int) -> ReferenceShape:
        shape = self.collection.shape(index)
        rng = sample_generator(self._seed, 0, f"{self.collection.id(index)}/reference")
        num_inside = self._reference_volume // 2
        num_outside = self._reference_volume - num_inside
        inside, volume = shape.sample_inside(num_inside, rng)
        volume_points = np.concatenate([inside, shape.sample_outside(num_outside, rng)])
        weight_inside = (volume / num_inside) / ((QUERY_BALL_VOLUME - volume) / num_outside)
        occupancy = torch.arange(self._reference_volume) < num_inside
        return ReferenceShape(
            id=self.collection.id(index),
            category=self.category(index),
            surface_points=torch.from_numpy(shape.sample_surface(self._surface, rng)[0]),
            reference_points=torch.from_numpy(shape.sample_surface(self._reference_points, rng)[0]),
            volume_points=torch.from_numpy(volume_points),
            volume_occupancy=occupancy,
            volume_weight=torch.where(occupancy, weight_inside, 1.0).float(),
            frame=shape.frame,
        )
