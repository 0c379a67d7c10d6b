"""Find the training shape nearest to each evaluated shape.

A very small distance can mean that the shape leaked into the training set. The retrieval baseline returns the nearest
training shape as its result.

Shapes are compared by the Chamfer distance between their stored surfaces, each in its unit-sphere frame and not
rotated. The search has three steps. The first selects the training shapes with the most similar descriptors, which hold
distances to fixed points (`lagem.prepared.descriptors`). The second keeps those of them that are nearest by a Chamfer
distance computed from few points of each shape. The third selects the nearest of the shapes that the second kept, by a
Chamfer distance computed from many points. Nothing is random. The result is cached in the prepared folder for later
evaluations.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy.spatial import cKDTree

from lagem.geometry.metrics import chamfer_distance
from lagem.prepared.descriptors import COMPARED_POINTS, describe, first_points
from lagem.prepared.shards import Shards
from lagem.progress import long_progress
from lagem.storage.atomic import write_json
from lagem.storage.checked.description import MOST_BYTES_OF_CARD, read_description
from lagem.storage.checked.digest import sha256_of

TRAINING = "train"
ALIKE, FEW_POINTS, FINALISTS = 256, 1_000, 8

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Neighbour:
    """A training shape and its Chamfer distance (not squared, both directions summed) in unit-sphere units."""

    id: str
    distance: float


@dataclass(frozen=True)
class Neighbours:
    """The nearest training shapes, by the id of the evaluated shape.

    unknown: why the nearest training shapes are not known; empty if they are.
    """

    by_id: dict[str, Neighbour]
    unknown: str = ""


def find_neighbours(shards: Shards | None, split: str, output: Path) -> Neighbours:
    """Find the nearest training shape of each shape of a split.

    The result is cached in the prepared folder as `.nearest_train.<split>.json`, or under that name in `output` if the
    prepared folder is read-only. The cache is valid as long as index.csv does not change.

    Args:
        shards: Reader of a prepared folder; None if raw meshes are evaluated.
        split: The evaluated split.
        output: Folder of the evaluation.
    """
    if shards is None:
        return Neighbours({}, "not known, as raw meshes have no training set")
    if split == TRAINING:
        return Neighbours({}, "not searched for, as the training set itself is evaluated")
    if TRAINING not in shards.splits:
        return Neighbours({}, f"not known, as {shards.root} has no shape of split {TRAINING!r}")
    name = f".nearest_train.{quote(split, safe='')}.json"
    search = [ALIKE, FEW_POINTS, FINALISTS, COMPARED_POINTS]
    of = {"index's sha256": sha256_of(Path(shards.root) / "index.csv"), "split": split, "search": search}
    for folder in (Path(shards.root), output):
        if (cached := _read_cache(folder / name, of, shards, split)) is not None:
            return Neighbours(cached)
    try:
        found = _search(shards, split)
    except ValueError as error:  # damaged shard
        return Neighbours({}, f"not known, as not every training shape can be read: {str(error).removesuffix('.')}")
    if len(found) < list(shards.splits).count(split):
        return Neighbours(found)
    content = {"of": of, "nearest": {id: asdict(neighbour) for id, neighbour in found.items()}}
    try:
        write_json(Path(shards.root) / name, content, indent=1)
    except OSError:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / name, content, indent=1)
    return Neighbours(found)


def _read_cache(path: Path, of: dict[str, Any], shards: Shards, split: str) -> dict[str, Neighbour] | None:
    """Return the cached result.

    Returns:
        The result; None if the file is unreadable or incomplete, or if its result is for other shapes or other
        search settings.
    """
    try:
        content = read_description(path, remedy="remove it", at_most=MOST_BYTES_OF_CARD)
        if content.object("of").values != of:
            return None
        nearest = content.object("nearest")
        found = {id: nearest.object(id).as_dataclass(Neighbour) for id in nearest.values}
    except (OSError, ValueError):
        return None
    evaluated, training = (
        {id for id, other in zip(shards.ids, shards.splits, strict=True) if other == name} for name in (split, TRAINING)
    )
    complete = found.keys() == evaluated and {neighbour.id for neighbour in found.values()} <= training
    return found if complete else None


class TrainingSearch:
    """Finds the training shape nearest to a surface. The constructor computes the descriptors of all training shapes.

    descriptors: (T, K) float64 descriptors of the T training shapes; they identify the training set.

    Args:
        ids: Ids of the training shapes.
        cloud: Takes the index of a training shape in `ids` and a number of points; returns that many surface points, or
            all if there are fewer.
        progress: Progress display, which gets a bar while the descriptors are computed.
    """

    def __init__(self, ids: Sequence[str], cloud: Callable[[int, int], Points], progress: Progress) -> None:
        self._ids, self._cloud = ids, cloud
        task = progress.add_task("describing training shapes", total=len(ids))
        descriptors = []
        for index in range(len(ids)):
            descriptors.append(describe(cloud(index, COMPARED_POINTS)))
            progress.advance(task)
        self.descriptors = np.stack(descriptors)
        self._tree = cKDTree(self.descriptors)

    def nearest(self, surface_points: Points) -> Neighbour:
        """Return the training shape nearest to a surface.

        Args:
            surface_points: (N, 3) points of the surface, of which at most COMPARED_POINTS are used.
        """
        ranks = np.arange(1, min(ALIKE, len(self._ids)) + 1)
        _, alike = self._tree.query(describe(surface_points), k=ranks, p=1)
        finalists = sorted(self._distances(surface_points, alike.tolist(), FEW_POINTS))[:FINALISTS]
        distance, nearest = min(self._distances(surface_points, [index for _, index in finalists], COMPARED_POINTS))
        return Neighbour(id=self._ids[nearest], distance=distance)

    def _distances(self, surface_points: Points, indices: Sequence[int], points: int) -> list[tuple[float, int]]:
        """Return (Chamfer distance, index) for each index of a training shape in `indices`.

        The distance is between the first `points` rows of `surface_points` and up to `points` points of the shape.
        """
        few = surface_points[:points]
        return [(chamfer_distance(few, self._cloud(index, points)), index) for index in indices]


def _search(shards: Shards, split: str) -> dict[str, Neighbour]:
    training = [index for index, other in enumerate(shards.splits) if other == TRAINING]
    evaluated = [index for index, other in enumerate(shards.splits) if other == split]
    found = {}
    with long_progress() as progress:
        search = TrainingSearch(
            [shards.ids[index] for index in training],
            lambda index, points: first_points(shards, training[index], points),
            progress,
        )
        task = progress.add_task("finding the nearest training shapes", total=len(evaluated))
        for index in evaluated:
            try:
                points = first_points(shards, index)
            except ValueError:  # damaged shard; the evaluation itself reports the shape
                pass
            else:
                found[shards.ids[index]] = search.nearest(points)
            progress.advance(task)
    return found
