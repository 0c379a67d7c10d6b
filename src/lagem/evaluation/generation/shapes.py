"""Read generated meshes and references as point clouds, and record what is known about each shape.

Points are in the unit-sphere frame, unless a preset compares shapes in another one. Generated meshes are already in the
unit-sphere frame and are not normalised again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lagem.evaluation.generation.samples import Sample
from lagem.evaluation.neighbours import Neighbour, TrainingSearch
from lagem.geometry.components import dominant_share
from lagem.geometry.sampling import sample_surface
from lagem.prepared.descriptors import COMPARED_POINTS
from lagem.randomness import sample_generator
from lagem.sources.reading import read_mesh
from lagem.sources.surfaces import Points, SurfaceSource
from lagem.storage.journal import Journal

Draw = Callable[[int, np.random.Generator], Points]


@dataclass(frozen=True, kw_only=True)
class JudgedShape:
    """What is known about one shape; a field is None if its value is unknown.

    category: category of a reference, or the requested category of a generated shape.
    reason: why the shape has no points: it cannot be read, or it has no surface. Empty if it has points.
    compared: whether the shape is one of the n shapes of its set that are compared.
    dominant_share: fraction of a generated mesh's volume that lies in its largest component
        (`lagem.geometry.dominant_share`).
    recognised_as: category of the nearest compared reference other than the shape itself.
    nearest_reference, nearest_reference_distance: id and distance of that reference.
    nearest_train, nearest_train_distance: id and distance of the nearest training shape.
    points: (P, 3) points of the surface, in the frame in which shapes are compared.
    """

    set: Literal["generated", "reference"]
    id: str
    category: str
    reason: str = ""
    compared: bool = False
    dominant_share: float | None = None
    recognised_as: str | None = None
    nearest_reference: str | None = None
    nearest_reference_distance: float | None = None
    nearest_train: str | None = None
    nearest_train_distance: float | None = None
    points: NDArray[np.floating] | None = None

    def record(self) -> dict[str, Any]:
        """Return all fields except the points."""
        record = asdict(replace(self, points=None))
        del record["points"]
        return record


class ShapeReader:
    """Reads shapes, draws points from their surfaces, and finds their nearest training shapes.

    Args:
        points: P, the number of points per shape.
        seed: Seed of the draws of points. The draws are also keyed by a shape's set and id.
        search: Finds the nearest training shapes; None for no search.
        journal: Stores each result of the search under a digest of the points of the shape; None for no search.
        framed: Maps the points of a shape into the frame in which shapes are compared; None for the unit sphere.
    """

    def __init__(
        self,
        *,
        points: int,
        seed: int,
        search: TrainingSearch | None,
        journal: Journal | None,
        framed: Callable[[Points], NDArray[np.float64]] | None = None,
    ) -> None:
        self._points, self._seed, self._search, self._journal, self._framed = points, seed, search, journal, framed

    def generated(self, sample: Sample) -> JudgedShape:
        """Read a sample; the result has no points if the sample has no surface."""
        shape = JudgedShape(set="generated", id=sample.id, category=sample.category, reason=sample.reason)
        if sample.path is None:
            return replace(shape, reason=sample.reason or "there is no mesh, and the table gives no reason")
        try:
            mesh = read_mesh(sample.path)
        except ValueError as error:
            return replace(shape, reason=str(error).removeprefix(f"{sample.path}: "))
        shape = replace(shape, dominant_share=dominant_share(mesh))
        return self._with_points(shape, lambda count, rng: sample_surface(mesh, count, rng)[0].astype(np.float32))

    def reference(self, surfaces: SurfaceSource, index: int) -> JudgedShape:
        """Read a reference; the result has no points if the reference cannot be read."""
        shape = JudgedShape(set="reference", id=surfaces.ids[index], category=surfaces.categories[index])
        try:
            return self._with_points(shape, lambda count, rng: surfaces.draw(index, count, rng))
        except ValueError as error:
            return replace(shape, reason=str(error))

    def _with_points(self, shape: JudgedShape, draw: Draw) -> JudgedShape:
        key = f"{shape.set}/{shape.id}"
        points = draw(self._points, sample_generator(self._seed, 0, key))
        shape = replace(shape, points=points if self._framed is None else self._framed(points))
        if self._search is None or self._journal is None:
            return shape
        many = draw(COMPARED_POINTS, sample_generator(self._seed, 0, f"{key}/train"))
        name = hashlib.sha256(many.tobytes()).hexdigest()
        if name not in self._journal.values:
            self._journal.add(name, asdict(self._search.nearest(many)))
        nearest = self._journal.value(name).as_dataclass(Neighbour)
        return replace(shape, nearest_train=nearest.id, nearest_train_distance=nearest.distance)
