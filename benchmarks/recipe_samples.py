"""Changes the content of training samples; `recipe.py` compares the networks trained with each change.

Validation samples keep their queries.

Distances of queries to the surface are measured before augmentation. Close to the surface, the distance is that to the
tangent plane of the nearest stored surface point; farther away, it is that to the point itself.
"""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from scipy.spatial import cKDTree
from torch import Tensor

from lagem.data_modules.occupancy import OccupancyDataModule, PreparedShapes
from lagem.data_modules.order import Key
from lagem.prepared.shards import Shards
from lagem.samples import OccupancySample
from lagem.storage.atomic import write_bytes

NEIGHBOURS = 12  # number of neighbours of a surface point, whose normals measure how sharp the surface is there
BAND = 0.03  # distance from the surface beyond which a truncated distance is 0 or 1
CLOSEST = 0.015  # largest distance of the closest near queries: three times the smaller sigma of their jitter
SHARP_SHARE = 0.5  # fraction of the input points drawn in proportion to the sharpness of the surface
QUERIES = ("volume_inside", "volume_outside", "near_inside", "near_outside")

Change = Literal["sharp points", "truncated distance", "closest near queries"]
Facts = dict[str, NDArray[np.float16]]  # of a shape: the distances of its queries, by pool, and its sharpness


def facts_of(shards: Shards, index: int) -> Facts:
    """Return the distances of a shape's stored queries to its surface, and the sharpness at each surface point.

    The sharpness is 1 minus the mean absolute cosine of the angles between the normal at the point and those at its
    neighbours.
    """
    points, normals = shards.read(index, "surface_points"), shards.read(index, "surface_normals")
    normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)  # stored as eight bits
    tree = cKDTree(points)
    facts = {}
    for pool in QUERIES:
        queries = shards.read(index, pool) if shards.count(index, pool) else np.empty((0, 3), dtype=np.float32)
        to_point, nearest = tree.query(queries)
        to_plane = np.abs(((queries - points[nearest]) * normals[nearest]).sum(axis=-1))
        facts[pool] = np.where(to_point > 2 * BAND, to_point, to_plane).astype(np.float16)
    _, neighbours = tree.query(points, 1 + NEIGHBOURS)
    cosines = np.abs((normals[neighbours[:, 1:]] * normals[:, None]).sum(axis=-1))
    facts["sharp"] = np.maximum(1 - cosines.mean(axis=-1), 0).astype(np.float16)
    return facts


def kept_facts(shards: Shards, index: int, folder: Path) -> Facts:
    """Return `facts_of(shards, index)`, which is computed once and then cached in a folder."""
    file = folder / f"{shards.ids[index]}.npz"
    if not file.exists():
        content = BytesIO()
        np.savez(content, **facts_of(shards, index))  # type: ignore[arg-type]
        write_bytes(file, content.getvalue())
    with np.load(file) as facts:
        return dict(facts)


class ChangedShapes(PreparedShapes):
    """Prepared shapes with changed samples.

    The changes use the query distances and the sharpness that `facts_of` returns for each shape. The results of
    `facts_of` are cached in a folder.
    """

    def __init__(self, shapes: PreparedShapes, change: Change, folder: Path) -> None:
        vars(self).update(vars(shapes))
        self._change = change
        members = track(self._members.tolist(), "distances")
        self._facts = {shape: kept_facts(self._shards, shape, folder) for shape in members}
        self._drawn: list[NDArray[np.float16]] = []

    def __getitem__(self, key: Key) -> OccupancySample:
        self._drawn = []
        sample = super().__getitem__(key)
        if self._change != "truncated distance":
            return sample
        distances = torch.from_numpy(np.concatenate(self._drawn)).float()
        volume, near = distances.split([self._volume, self._near])
        return replace(
            sample,
            volume_occupancy=softened(sample.volume_occupancy, volume),
            near_occupancy=softened(sample.near_occupancy, near),
        )

    def _window(self, shape: int, pool: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        facts = self._facts[shape]
        if self._change == "sharp points" and pool == "surface_points":
            return sharp_points(self._shards.read(shape, pool), facts["sharp"], count, rng)
        if self._change == "closest near queries" and pool.startswith("near"):
            close = np.flatnonzero(facts[pool] < CLOSEST)
            return self._shards.read(shape, pool)[rng.choice(close if len(close) else len(facts[pool]), count)]
        if self._change == "truncated distance" and pool in QUERIES:
            start = int(rng.integers(len(facts[pool])))
            self._drawn.append(facts[pool][(start + np.arange(count)) % len(facts[pool])])
            return self._shards.read(shape, pool, start, count)
        return super()._window(shape, pool, count, rng)


class RecipeData(OccupancyDataModule):
    """Prepared shapes, with changed samples if `change` is set. Only `sharp points` also changes validation samples."""

    change: Change | None = None
    facts: Path  # folder that caches what `facts_of` returns for each shape

    def setup(self, stage: str) -> None:
        """Set up the shapes, and replace them by shapes with changed samples."""
        super().setup(stage)
        if self.change is not None:
            self.facts.mkdir(parents=True, exist_ok=True)
            self.train_shapes = ChangedShapes(self.train_shapes, self.change, self.facts)
        if self.change == "sharp points":
            self.val_shapes = ChangedShapes(self.val_shapes, self.change, self.facts)


def softened(occupancy: Tensor, distances: Tensor) -> Tensor:
    """Replace occupancy by a truncated signed distance in [0, 1].

    It is 1/2 on the surface. Beyond a distance of BAND, it is 1 inside and 0 outside.
    """
    return 0.5 + (occupancy - 0.5) * (distances / BAND).clamp(max=1)


def sharp_points(
    points: NDArray[np.float32], sharp: NDArray[np.float16], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw (count, 3) of a shape's points: SHARP_SHARE of them in proportion to the sharpness, the rest uniformly."""
    weights = sharp.astype(np.float64) + 1e-6
    edges = round(SHARP_SHARE * count)
    rows = [rng.choice(len(points), edges, p=weights / weights.sum()), rng.choice(len(points), count - edges)]
    return points[np.concatenate(rows)]
