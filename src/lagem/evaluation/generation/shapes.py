"""The shapes that are held against one another: generated meshes and references, as point clouds with what is known.

Generated meshes are taken as they are, in the unit sphere's frame that they were made in; references are in it too.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lagem.evaluation.generation.samples import Sample
from lagem.evaluation.neighbours import Neighbour, TrainingSearch
from lagem.geometry.components import dominant_share
from lagem.geometry.mesh import load_mesh
from lagem.geometry.sampling import sample_surface
from lagem.prepared.descriptors import COMPARED_POINTS
from lagem.randomness import sample_generator
from lagem.sources.surfaces import Points, SurfaceSource
from lagem.storage.journal import Journal

Draw = Callable[[int, np.random.Generator], Points]


@dataclass(frozen=True, kw_only=True)
class JudgedShape:
    """One shape with what is known of it alone; None where that is not known.

    category: of a reference; of a generated shape, what was asked for.
    reason: why it has no surface; empty for most.
    compared: whether it is one of the sets that are held against one another.
    dominant_share: of the volume of a generated mesh, in its largest solid (`lagem.geometry.dominant_share`).
    recognised_as: category of the nearest other reference that is compared, nearest_reference its id.
    nearest_train, nearest_train_distance: id of the nearest training shape, and how far it is.
    points: (P, 3) of the surface.
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
    points: Points | None = None

    def row(self) -> dict[str, Any]:
        """All but the points."""
        row = asdict(replace(self, points=None))
        del row["points"]
        return row


class ShapeReader:
    """Draws the points of shapes, keyed by (seed, set and id), and looks for the nearest training shape.

    Args:
        points: P of each.
        seed: Of the draws.
        search: Of the training shapes; None for no such search.
        kept: Where what was found is kept, by the points asked with.
    """

    def __init__(self, *, points: int, seed: int, search: TrainingSearch | None, kept: Journal | None) -> None:
        self._points, self._seed, self._search, self._kept = points, seed, search, kept

    def generated(self, sample: Sample) -> JudgedShape:
        """A sample; without points where it has no surface."""
        shape = JudgedShape(set="generated", id=sample.id, category=sample.category, reason=sample.reason)
        if sample.path is None:
            return replace(shape, reason=sample.reason or "there is no mesh, for a reason that the table does not give")
        try:
            mesh = load_mesh(sample.path)
        except ValueError as error:
            return replace(shape, reason=str(error).removeprefix(f"{sample.path}: "))
        shape = replace(shape, dominant_share=dominant_share(mesh))
        return self._with_points(shape, lambda count, rng: sample_surface(mesh, count, rng)[0].astype(np.float32))

    def reference(self, surfaces: SurfaceSource, index: int) -> JudgedShape:
        """A reference; without points where its mesh cannot be read."""
        shape = JudgedShape(set="reference", id=surfaces.ids[index], category=surfaces.categories[index])
        try:
            return self._with_points(shape, lambda count, rng: surfaces.draw(index, count, rng))
        except ValueError as error:
            return replace(shape, reason=str(error))

    def _with_points(self, shape: JudgedShape, draw: Draw) -> JudgedShape:
        key = f"{shape.set}/{shape.id}"
        shape = replace(shape, points=draw(self._points, sample_generator(self._seed, 0, key)))
        if self._search is None or self._kept is None:
            return shape
        many = draw(COMPARED_POINTS, sample_generator(self._seed, 0, f"{key}/train"))
        name = hashlib.sha256(many.tobytes()).hexdigest()
        if name not in self._kept.values:
            self._kept.add(name, asdict(self._search.nearest(many)))
        nearest = Neighbour(**self._kept.values[name])
        return replace(shape, nearest_train=nearest.id, nearest_train_distance=nearest.distance)
