"""Which training shape lies nearest to each evaluated one: what shows leaks, and what retrieval answers with.

Near is meant in the Chamfer distance of the stored surfaces as they stand, in the same frame and not turned. The search
narrows in three steps: the training shapes most alike in their distances to fixed places (`lagem.prepared.copies`),
of these the nearest by few points, of these the nearest by many. Nothing in it is random. The result is kept with the
prepared folder, so that further evaluations find it.
"""

import json
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
from lagem.storage.digest import sha256_of

TRAINING = "train"
ALIKE, FEW_POINTS, FINALISTS = 256, 1_000, 8

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Neighbour:
    """A training shape and its Chamfer distance, not squared, both directions summed, in unit-sphere units."""

    id: str
    distance: float


@dataclass(frozen=True)
class Neighbours:
    """The nearest training shape by the evaluated shape's id; empty where `unknown` says why there is none."""

    by_id: dict[str, Neighbour]
    unknown: str = ""


def find_neighbours(shards: Shards | None, split: str, output: Path) -> Neighbours:
    """The nearest training shape of each shape of a split.

    Kept in the prepared folder as `.nearest_train.<split>.json`, or under that name in `output` where the folder cannot
    be written; found in either place while the index is the same.

    Args:
        shards: A prepared folder; None where meshes are evaluated as they are.
        split: That is evaluated.
        output: Folder of the evaluation.
    """
    if shards is None:
        return Neighbours({}, "not known, as meshes have no training set beside them")
    if split == TRAINING:
        return Neighbours({}, "not sought, as the training set itself is evaluated")
    if TRAINING not in shards.splits:
        return Neighbours({}, f"not known, as {shards.root} has no shape of split {TRAINING!r}")
    name = f".nearest_train.{quote(split, safe='')}.json"
    search = [ALIKE, FEW_POINTS, FINALISTS, COMPARED_POINTS]
    of = {"index's sha256": sha256_of(Path(shards.root) / "index.csv"), "split": split, "search": search}
    for folder in (Path(shards.root), output):
        if (kept := _read(folder / name, of)) is not None:
            return Neighbours(kept)
    try:
        found = _search(shards, split)
    except ValueError as error:  # of a damaged shard
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


def _read(path: Path, of: dict[str, Any]) -> dict[str, Neighbour] | None:
    """What was kept, if it is of the same shapes and search; None otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        same = content["of"] == of
        return {id: Neighbour(**kept) for id, kept in content["nearest"].items()} if same else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


class TrainingSearch:
    """Training shapes, described once and then asked for the one nearest to a surface.

    descriptors: (T, K) float64, of the T training shapes: what tells this training set from others.

    Args:
        ids: Of the training shapes.
        cloud: Gives the training shape at a place in `ids` by that many surface points, or by as many as it has.
        progress: Shows how far the describing is.
    """

    def __init__(self, ids: Sequence[str], cloud: Callable[[int, int], Points], progress: Progress) -> None:
        self._ids, self._cloud = ids, cloud
        task = progress.add_task("describing training shapes", total=len(ids))
        descriptors = []
        for place in range(len(ids)):
            descriptors.append(describe(cloud(place, COMPARED_POINTS)))
            progress.advance(task)
        self.descriptors = np.stack(descriptors)
        self._tree = cKDTree(self.descriptors)

    def nearest(self, surface_points: Points) -> Neighbour:
        """The training shape nearest to a surface, by its (N, 3) points, COMPARED_POINTS of them where there are."""
        alike = np.arange(1, min(ALIKE, len(self._ids)) + 1)
        _, chosen = self._tree.query(describe(surface_points), k=alike, p=1)
        finalists = sorted(self._distances(surface_points, chosen.tolist(), FEW_POINTS))[:FINALISTS]
        distance, nearest = min(self._distances(surface_points, [place for _, place in finalists], COMPARED_POINTS))
        return Neighbour(id=self._ids[nearest], distance=distance)

    def _distances(self, surface_points: Points, places: Sequence[int], points: int) -> list[tuple[float, int]]:
        """Chamfer distance to each of some training shapes, with its place, by that many points of each."""
        few = surface_points[:points]
        return [(chamfer_distance(few, self._cloud(place, points)), place) for place in places]


def _search(shards: Shards, split: str) -> dict[str, Neighbour]:
    training = [index for index, other in enumerate(shards.splits) if other == TRAINING]
    evaluated = [index for index, other in enumerate(shards.splits) if other == split]
    found = {}
    with long_progress() as progress:
        search = TrainingSearch(
            [shards.ids[index] for index in training],
            lambda place, points: first_points(shards, training[place], points),
            progress,
        )
        task = progress.add_task("finding the nearest of them", total=len(evaluated))
        for index in evaluated:
            try:
                points = first_points(shards, index)
            except ValueError:  # of a damaged shard: the evaluation names the shape
                pass
            else:
                found[shards.ids[index]] = search.nearest(points)
            progress.advance(task)
    return found
