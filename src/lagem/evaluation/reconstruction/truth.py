"""The ground truth of an evaluation: the stored surface and labels of a prepared shape, or a raw mesh.

Letters: N input points of the network, R reference points, Q queries. All coordinates are in the unit-sphere frame.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.distance import outer_faces
from lagem.geometry.frame import Frame, Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.prepared.shards import Shards, labelled
from lagem.randomness import sample_generator
from lagem.sources.mesh_files import find_meshes
from lagem.sources.reading import read_mesh
from lagem.storage.failures import raise_failure_behind

Points = NDArray[np.float32]


@dataclass(frozen=True)
class LabelledQueries:
    """Query points with their occupancy.

    points: (Q, 3) positions of the queries.
    occupancy: (Q,), True inside the shape.
    weight: (Q,), the weight of each query in the IoU: 1 for a query near the surface, else proportional to the volume
        that the query represents.
    """

    points: Points
    occupancy: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class InnerFaces:
    """The faces of a mesh that are left out of the ground truth, because they cannot be seen from outside.

    total: number of faces of the mesh.
    inner: (K,) indices of the faces that are left out, ascending.
    area: fraction of the mesh's area that belongs to these faces.
    """

    total: int
    inner: NDArray[np.int64]
    area: float


@dataclass(frozen=True)
class Truth:
    """One shape with its ground truth.

    surface_points: (N, 3), the network's input.
    reference_points, reference_normals: (R, 3) points on the true surface, and the normals there.
    volume, near: queries in the volume and near the surface; None for a raw mesh, because its inside is unknown.
    inner: the faces that are left out of the ground truth of a raw mesh; None unless `truths_of_meshes` was called
        with `outer`.
    up: the axis that points up in the shape; z if it is not known.
    """

    id: str
    category: str
    surface_points: Points
    reference_points: Points
    reference_normals: Points
    volume: LabelledQueries | None
    near: LabelledQueries | None
    inner: InnerFaces | None = None
    up: Up = "z"


@dataclass(frozen=True)
class UnreadableShape:
    """A shape that could not be read, and the reason."""

    id: str
    category: str
    reason: str


def truths_of_prepared(
    root: Path, *, split: str, num_surface_points: int, seed: int, only: Container[str] | None = None
) -> Iterator[Truth | UnreadableShape]:
    """Yield the shapes of one split of a prepared folder with their ground truth, in the order of index.csv.

    Args:
        root: Folder that `lagem prepare` wrote.
        split: Split to yield.
        num_surface_points: N, the number of input points. They are N consecutive stored points.
        seed: Seed by which the first of these points is drawn; the draw is also keyed by the shape's id.
        only: Ids of the shapes to yield; None yields all.
    """
    shards = Shards(root)
    for index, id in enumerate(shards.ids):
        if shards.splits[index] != split or (only is not None and id not in only):
            continue
        try:
            yield _truth_of_prepared(shards, index, num_surface_points, seed)
        except ValueError as error:
            yield UnreadableShape(id=id, category=shards.categories[index], reason=str(error))


def truths_of_meshes(
    sources: list[Path],
    *,
    num_surface_points: int,
    num_reference_points: int,
    seed: int,
    outer: bool = False,
    only: Container[str] | None = None,
) -> Iterator[Truth | UnreadableShape]:
    """Yield raw meshes as shapes with their ground truth. The meshes are found as `lagem prepare` finds them.

    Args:
        sources: Files, folders and manifests.
        num_surface_points: N, the number of input points drawn on each mesh.
        num_reference_points: R, the number of reference points drawn on each mesh.
        seed: Seed of the draws. The draws are also keyed by the shape's id.
        outer: Draw points only on faces that can be seen from outside.
        only: Ids of the shapes to yield; None yields all.
    """
    for mesh in find_meshes(sources, val_share=0):
        if only is not None and mesh.id not in only:
            continue
        rng = sample_generator(seed, 0, mesh.id)
        try:
            source = read_mesh(mesh.path)
            unit = source.in_frame(Frame.of(source.vertices))
            inner = None
            if outer:
                unit, inner = _without_inner_faces(unit, sample_generator(seed, 0, f"outer:{mesh.id}"))
            surface_points, _ = sample_surface(unit, num_surface_points, rng)
            reference_points, normals = sample_surface(unit, num_reference_points, rng)
        except ValueError as error:
            raise_failure_behind(error, mesh.path)
            yield UnreadableShape(id=mesh.id, category=mesh.category, reason=str(error).removeprefix(f"{mesh.path}: "))
            continue
        yield Truth(
            id=mesh.id,
            category=mesh.category,
            surface_points=surface_points.astype(np.float32),
            reference_points=reference_points.astype(np.float32),
            reference_normals=normals.astype(np.float32),
            volume=None,
            near=None,
            inner=inner,
            up=source.up,
        )


def _without_inner_faces(mesh: Mesh, rng: np.random.Generator) -> tuple[Mesh, InnerFaces]:
    kept = outer_faces(mesh, rng)
    outer = mesh.with_faces(kept)
    area = 1 - outer.area / mesh.area if mesh.area > 0 else 0.0
    return outer, InnerFaces(total=len(kept), inner=np.flatnonzero(~kept), area=area)


def _truth_of_prepared(shards: Shards, index: int, num_surface_points: int, seed: int) -> Truth:
    id = shards.ids[index]
    start = int(sample_generator(seed, 0, id).integers(shards.count(index, "surface_points")))
    drawn = shards.volume_drawn(index)
    return Truth(
        id=id,
        category=shards.categories[index],
        surface_points=shards.read(index, "surface_points", start, num_surface_points),
        reference_points=shards.read(index, "surface_points"),
        reference_normals=shards.read(index, "surface_normals"),
        volume=_queries(shards, index, "volume", (1 / drawn[0], 1 / drawn[1])),
        near=_queries(shards, index, "near", (1.0, 1.0)),
        up=shards.up or "z",
    )


def _queries(
    shards: Shards, index: int, kind: Literal["volume", "near"], weights: tuple[float, float]
) -> LabelledQueries:
    points, occupancy = labelled(shards, index, kind)
    return LabelledQueries(points=points, occupancy=occupancy, weight=np.where(occupancy, *weights))
