"""The data module for prepared shapes.

A prepared shape has several pools of stored points, for example the inside points near its surface. A sample takes a
window of each pool: consecutive points from a random start.

Half of the volume queries of a sample are inside the shape (LaGeM appendix D). If a thin shape has too few inside
volume points, all of them are used, and inside points near the surface complete this half. So the queries of thin
shapes are balanced too.

A fraction of the training samples can show random solids instead (`universe_fraction`).
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lagem.data_modules.order import Key
from lagem.data_modules.stream import ShapeDataModule, ShapeSet, Shuffle, augmented
from lagem.geometry.frame import QUERY_BALL_RADIUS
from lagem.prepared.quantisation import stored_row
from lagem.prepared.shards import Shards, labelled, random_window
from lagem.procedural.queries import draw_sample
from lagem.randomness import sample_generator
from lagem.samples import OccupancySample, ReferenceShape
from lagem.sources.augmentation import Augmentation
from lagem.storage.file_cache import FileCache


class OccupancyDataModule(ShapeDataModule):
    """Shapes that `lagem prepare` wrote."""

    train_shapes: "PreparedShapes"

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
        universe_fraction: float = 0.0,
        num_workers: int = 4,
        augment: Augmentation | None = None,
        categories: list[str] | None = None,
        cache: FileCache | None = None,
        shuffle: Shuffle = "shapes",
    ) -> None:
        """Load prepared shapes.

        Args:
            root: Folder that `lagem prepare` wrote, or its URL in a store: s3://bucket/prefix.
            seed: Seed of the order of the shapes, and of all random draws.
            batch_size: Number of shapes in a batch on one rank.
            num_surface_points: Number of surface points in a sample: 8192 for the large models, 2048 for ShapeNet and
                VecSet.
            num_volume_queries: Number of volume queries in a sample; half of them are inside.
            num_near_queries: Number of near queries in a sample.
            outside_within: Maximum distance of the outside volume queries of a training sample from the origin, before
                augmentation. If too few stored points lie within it, farther ones are used too. With null, the queries
                are drawn from the whole ball of radius sqrt(3) (appendix D). Four fifths of that ball lie outside the
                unit sphere, which holds every shape. So the value 1 speeds up the training of a network that has
                already learnt that nothing lies outside the unit sphere, but a network trained with 1 from the start
                never learns it.
            universe_fraction: Fraction of the training samples that are replaced by random solids with exact occupancy:
                0 for none, 1 for all. Every replaced sample draws a new one. Useful if there are few shapes. Only for
                autoencoders: a stage of a cascade refuses such data. Validation and test samples are never replaced.
            num_workers: Number of loading processes per rank; 0 loads in the training process.
            augment: Augmentation of training samples; null for none.
            categories: Categories to use; null for all.
            cache: Settings of the local copies of files, if the root is in a store; null for the defaults. Not used for
                a local folder.
            shuffle: `shapes` shuffles all shapes together for training. `shards` shuffles the shards, and the shapes
                within each shard. With `shards`, every rank reads its own shards one after another; choose it for data
                that are larger than `cache.gigabytes`.
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
        if not 0 <= universe_fraction <= 1:
            raise ValueError(
                "universe_fraction must be a fraction of the training samples, from 0 to 1, but "
                f"{universe_fraction} was given."
            )
        self.universe_fraction = universe_fraction
        self.counts = (num_surface_points, num_volume_queries, num_near_queries)
        self.outside_within = outside_within

    def setup(self, stage: str) -> None:
        shards = Shards(self.root, self.cache)
        self.up = shards.up
        members = shards.members(self.categories)
        self.train_shapes = PreparedShapes(
            shards,
            members["train"],
            self.counts,
            self.seed,
            self.augment,
            outside_within=self.outside_within,
            universe_fraction=self.universe_fraction,
        )
        self.val_shapes = PreparedShapes(shards, members["val"], self.counts, self.seed, None)
        tests = members["test"] if len(members["test"]) else members["val"]
        self.test_shapes = PreparedShapes(shards, tests, self.counts, self.seed, None)

    def summary(self) -> str:
        bytes_read = self.train_shapes.bytes_per_sample
        solids = f"; {self.universe_fraction:.0%} of the training samples show random solids"
        replaced = solids if self.universe_fraction else ""
        return f"{self.root}: {super().summary()}; a sample reads at most {bytes_read:,} bytes{replaced}"


class PreparedShapes(ShapeSet):
    """Some shapes of a prepared folder.

    `members` are their indices in the folder. `counts` are the numbers of surface points, volume queries and near
    queries in a sample. The other arguments are those of `OccupancyDataModule`.
    """

    def __init__(
        self,
        shards: Shards,
        members: NDArray[np.integer[Any]],
        counts: tuple[int, int, int],
        seed: int,
        augment: Augmentation | None,
        *,
        outside_within: float | None = None,
        universe_fraction: float = 0.0,
    ) -> None:
        self._universe_fraction = universe_fraction
        self._shards, self._members = shards, members
        self._outside_within = math.inf if outside_within is None else outside_within
        self._surface, self._volume, self._near = counts
        self._seed, self._augment = seed, augment

    def __len__(self) -> int:
        return len(self._members)

    @property
    def shards(self) -> Shards:
        """The prepared folder."""
        return self._shards

    @property
    def members(self) -> NDArray[np.integer[Any]]:
        """Indices that the shapes of this set have in the prepared folder."""
        return self._members

    @property
    def bytes_per_sample(self) -> int:
        """Maximum number of bytes read from a shard for one sample: the stored size of the sample's windows."""
        inside, outside = self._volume // 2, self._outside_window
        rows = {"surface_points": self._surface, "volume_outside": inside + outside, "near_outside": self._near}
        return sum(count * stored_row(pool) for pool, count in rows.items())

    @property
    def _outside_window(self) -> int:
        """Maximum number of stored points to read for the outside volume queries of a sample.

        With `outside_within`, only some of the stored points lie close enough to the origin. The maximum is 1.5 times
        the number that on average suffices for a shape with little volume.
        """
        half = self._volume // 2
        return max(half, math.ceil(1.5 * half * (QUERY_BALL_RADIUS / self._outside_within) ** 3))

    def by_shards(self, at_once: int | None) -> NDArray[np.integer[Any]]:
        return self._shards.shards_of(self._members, at_once)

    def category(self, index: int) -> str:
        return self._shards.categories[self._members[index]]

    def __getitem__(self, key: Key) -> OccupancySample:
        epoch, index = key
        shape = int(self._members[index])
        if self._universe_fraction:
            rng = sample_generator(self._seed, epoch, f"{self._shards.ids[shape]}/universe")
            if rng.random() < self._universe_fraction:
                return self._universe_sample(f"universe-{epoch}-{self._shards.ids[shape]}", rng)
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

    def _universe_sample(self, name: str, rng: np.random.Generator) -> OccupancySample:
        """Return a sample of a random solid, with the inside queries first, as for a prepared shape."""
        from lagem.procedural.universe import random_solid  # takes time, and most trainings draw none

        solid = random_solid(rng)
        within = self._outside_within if math.isfinite(self._outside_within) else None
        points, inside = draw_sample(solid, (self._surface, self._volume, self._near), rng, within)
        points["near_points"] = points["near_points"][np.argsort(~inside, kind="stable")]
        return OccupancySample(
            id=name,
            category="universe",
            volume_occupancy=torch.arange(self._volume).lt(self._volume // 2).float(),
            near_occupancy=torch.arange(self._near).lt(int(inside.sum())).float(),
            frame=solid.frame,
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
        """Return (count, 3) consecutive points of a pool from a random start, cyclically if the pool holds fewer."""
        return random_window(self._shards, shape, pool, count, rng)

    def _inside_queries(self, shape: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return (V/2, 3) inside points for V volume queries; points near the surface replace missing volume points."""
        half = self._volume // 2
        volume, near = (self._shards.count(shape, pool) for pool in ("volume_inside", "near_inside"))
        if volume + near == 0:
            raise ValueError(
                f"shape {self._shards.ids[shape]!r} in {self._shards.root} has no point inside, so its queries cannot "
                "be balanced. Prepare the shape with more near queries, or remove it."
            )
        taken = min(half, volume) if near else half
        parts = []
        if taken:
            parts.append(self._window(shape, "volume_inside", taken, rng))
        if taken < half:
            parts.append(self._window(shape, "near_inside", half - taken, rng))
        return np.concatenate(parts)

    def _outside_queries(self, shape: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return (V/2, 3) outside points for V volume queries.

        They come from one window: first its points within `outside_within`, then its other points. Each of the two
        groups keeps its stored order.
        """
        half = self._volume // 2
        stored = self._shards.count(shape, "volume_outside")
        points = self._window(shape, "volume_outside", max(half, min(self._outside_window, stored)), rng)
        beyond = np.linalg.norm(points, axis=-1) > self._outside_within
        return points[np.argsort(beyond, kind="stable")[:half]]

    def _near_queries(self, shape: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return inside and outside near queries; their numbers are, on average, proportional to the pools' sizes."""
        inside, outside = (self._shards.count(shape, pool) for pool in ("near_inside", "near_outside"))
        expected = self._near * inside / max(inside + outside, 1)
        count = int(expected + rng.random())
        sides = (("near_inside", count), ("near_outside", self._near - count))
        empty = np.empty((0, 3), dtype=np.float32)
        near_inside, near_outside = (self._window(shape, pool, n, rng) if n else empty for pool, n in sides)
        return near_inside, near_outside
