"""Prepared shapes, streamed: every sample reads a random window of each pool of its shape.

Half of the volume queries are inside (LaGeM appendix D). A thin shape may have too few inside points for that; then
all of them are used, and the rest are inside near queries, so thin shapes are balanced too.
"""

import math
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from numpy.typing import NDArray

from lagem.data_modules.order import Key
from lagem.data_modules.stream import ShapeDataModule, ShapeSet, Shuffle, augmented
from lagem.geometry.frame import QUERY_BALL_RADIUS
from lagem.prepared.quantisation import stored_row
from lagem.prepared.shards import Shards, labelled, random_window
from lagem.randomness import sample_generator
from lagem.samples import OccupancySample, ReferenceShape
from lagem.sources.augmentation import Augmentation
from lagem.storage.file_cache import FileCache


class OccupancyDataModule(ShapeDataModule):
    """Shapes that `lagem prepare` wrote."""

    def __init__(
        self,
        *,
        root: str,
        seed: int = 0,
        batch_size: int = 16,
        num_surface_points: int = 8192,
        num_volume_queries: int = 1024,
        num_near_queries: int = 1024,
        outside_within: float | None = None,
        num_workers: int = 4,
        augment: Augmentation | None = None,
        categories: list[str] | None = None,
        cache: FileCache | None = None,
        shuffle: Shuffle = "shapes",
    ) -> None:
        """Prepared shapes.

        Args:
            root: Folder that `lagem prepare` wrote, or its URL in a store: s3://bucket/prefix.
            seed: Seed of the order and of every draw.
            batch_size: Shapes of a batch on one rank.
            num_surface_points: Surface points of a sample: 8192 for the large models, 2048 for ShapeNet and VecSet.
            num_volume_queries: Volume queries of a sample, half of them inside.
            num_near_queries: Near queries of a sample.
            outside_within: The outside volume queries of a training sample lie within this distance from the origin
                (before augmentation), unless there are too few of them; null for the whole ball of radius sqrt(3)
                (appendix D). Four fifths of that ball lie outside the unit sphere, which holds every shape. So 1 speeds
                up a network that has already learnt that nothing lies outside, but one trained with 1 from the start
                never learns it.
            num_workers: Loading processes of one rank; 0 loads in the training process.
            augment: Augmentation of training samples; null for none.
            categories: Categories to use; null for all.
            cache: Local copies of the files of a root in a store; null for the defaults. Not used for a local folder.
            shuffle: What to shuffle for training: all `shapes`; or the `shards` and the shapes of each, so that every
                rank reads its own shards one after another, for data too large for the cache.
        """
        super().__init__(seed=seed, batch_size=batch_size, num_workers=num_workers, shuffle=shuffle)
        if num_volume_queries % 2:
            raise ValueError(
                f"num_volume_queries must be even, because half of them are inside, but {num_volume_queries} was given."
            )
        self.root, self.cache, self.categories, self.augment = root, cache, categories, augment
        if outside_within is not None and not outside_within > 0:
            raise ValueError(
                f"outside_within must be a positive distance from the origin, but {outside_within} was given."
            )
        self.counts = (num_surface_points, num_volume_queries, num_near_queries)
        self.outside_within = outside_within

    def setup(self, stage: str) -> None:
        shards = Shards(self.root, self.cache)
        members = shards.members(self.categories)
        self.train_shapes = PreparedShapes(
            shards, members["train"], self.counts, self.seed, self.augment, outside_within=self.outside_within
        )
        self.val_shapes = PreparedShapes(shards, members["val"], self.counts, self.seed, None)
        tests = members["test"] if len(members["test"]) else members["val"]
        self.test_shapes = PreparedShapes(shards, tests, self.counts, self.seed, None)
        rank_zero_info(
            f"{self.root}: {len(members['train'])} shapes to train, {len(members['val'])} to validate; "
            f"a sample reads {self.train_shapes.bytes_per_sample:,} bytes."
        )


class PreparedShapes(ShapeSet):
    """Some shapes of a prepared folder; `counts` are those of surface points, volume and near queries of a sample."""

    def __init__(
        self,
        shards: Shards,
        members: NDArray[np.integer[Any]],
        counts: tuple[int, int, int],
        seed: int,
        augment: Augmentation | None,
        *,
        outside_within: float | None = None,
    ) -> None:
        self._shards, self._members = shards, members
        self._outside_within = math.inf if outside_within is None else outside_within
        self._surface, self._volume, self._near = counts
        self._seed, self._augment = seed, augment

    def __len__(self) -> int:
        return len(self._members)

    @property
    def bytes_per_sample(self) -> int:
        """Maximum number of bytes that a sample reads from its shard: the rows of its windows, as stored."""
        inside, outside = self._volume // 2, self._outside_window
        rows = {"surface_points": self._surface, "volume_outside": inside + outside, "near_outside": self._near}
        return sum(count * stored_row(pool) for pool, count in rows.items())

    @property
    def _outside_window(self) -> int:
        """Maximum number of rows to read for the outside volume queries: 1.5 times what a small shape needs."""
        half = self._volume // 2
        return max(half, math.ceil(1.5 * half * (QUERY_BALL_RADIUS / self._outside_within) ** 3))

    def by_shards(self, at_once: int | None) -> NDArray[np.integer[Any]]:
        return self._shards.shards_of(self._members, at_once)

    def category(self, index: int) -> str:
        return self._shards.categories[self._members[index]]

    def __getitem__(self, key: Key) -> OccupancySample:
        epoch, index = key
        shape = int(self._members[index])
        rng = sample_generator(self._seed, epoch, self._shards.ids[shape])
        inside, outside = self._inside_queries(shape, rng), self._outside_queries(shape, rng)
        near_inside, near_outside = self._near_queries(shape, rng)
        points = {
            "surface_points": self._window(shape, "surface_points", self._surface, rng),
            "volume_points": np.concatenate([inside, outside]),
            "near_points": np.concatenate([near_inside, near_outside]),
        }
        return OccupancySample(
            id=self._shards.ids[shape],
            category=self._shards.categories[shape],
            volume_occupancy=torch.arange(self._volume).lt(len(inside)).float(),
            near_occupancy=torch.arange(self._near).lt(len(near_inside)).float(),
            frame=self._shards.frame(shape),
            **augmented(self._augment, points, rng),
        )

    def reference(self, index: int) -> ReferenceShape:
        shape = int(self._members[index])
        rng = sample_generator(self._seed, 0, self._shards.ids[shape])
        points, inside = labelled(self._shards, shape, "volume")
        volume_points, occupancy = torch.from_numpy(points), torch.from_numpy(inside)
        drawn_inside, drawn_outside = self._shards.volume_drawn(shape)
        return ReferenceShape(
            id=self._shards.ids[shape],
            category=self._shards.categories[shape],
            surface_points=torch.from_numpy(self._window(shape, "surface_points", self._surface, rng)),
            reference_points=torch.from_numpy(self._shards.read(shape, "surface_points")),
            volume_points=volume_points,
            volume_occupancy=occupancy,
            volume_weight=torch.where(occupancy, drawn_outside / max(drawn_inside, 1), 1.0).float(),
            frame=self._shards.frame(shape),
        )

    def _window(self, shape: int, pool: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count, 3) consecutive points of a pool from a random start, repeated if the pool holds fewer."""
        return random_window(self._shards, shape, pool, count, rng)

    def _inside_queries(self, shape: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(half, 3) inside points: volume queries, then near queries if there are too few of those."""
        half = self._volume // 2
        volume, near = (self._shards.count(shape, pool) for pool in ("volume_inside", "near_inside"))
        if volume + near == 0:
            raise ValueError(
                f"shape {self._shards.ids[shape]!r} in {self._shards.root} has no point inside, so its queries cannot "
                "be balanced. Prepare it with more near queries, or remove it."
            )
        taken = min(half, volume) if near else half
        parts = []
        if taken:
            parts.append(self._window(shape, "volume_inside", taken, rng))
        if taken < half:
            parts.append(self._window(shape, "near_inside", half - taken, rng))
        return np.concatenate(parts)

    def _outside_queries(self, shape: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(half, 3) outside points of a window: first those within `outside_within`, then others, in stored order."""
        half = self._volume // 2
        stored = self._shards.count(shape, "volume_outside")
        points = self._window(shape, "volume_outside", max(half, min(self._outside_window, stored)), rng)
        beyond = np.linalg.norm(points, axis=-1) > self._outside_within
        return points[np.argsort(beyond, kind="stable")[:half]]

    def _near_queries(self, shape: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Inside and outside near queries, on average in proportion to the sizes of the two pools."""
        inside, outside = (self._shards.count(shape, pool) for pool in ("near_inside", "near_outside"))
        expected = self._near * inside / max(inside + outside, 1)
        count = int(expected + rng.random())
        sides = (("near_inside", count), ("near_outside", self._near - count))
        empty = np.empty((0, 3), dtype=np.float32)
        near_inside, near_outside = (self._window(shape, pool, n, rng) if n else empty for pool, n in sides)
        return near_inside, near_outside
