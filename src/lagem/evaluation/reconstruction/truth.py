"""What a reconstruction is held against: the stored surface and labels of a prepared shape, or an input mesh.

N input points of the network, R reference points, Q queries; coordinates are in the unit-sphere frame.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import load_mesh
from lagem.geometry.sampling import sample_surface
from lagem.prepared.shards import Shards, labelled
from lagem.randomness import sample_generator
from lagem.sources.mesh_files import find_meshes

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Labelled:
    """Queries with their occupancy.

    points: (Q, 3); occupancy: (Q,) bool; weight: (Q,), uniform draws that each stands for.
    """

    points: Points
    occupancy: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """One shape with its ground truth.

    surface_points: (N, 3), the network's input.
    reference_points, reference_normals: (R, 3), of the true surface.
    volume, near: labelled queries; None for an input mesh, whose inside is not known.
    """

    id: str
    category: str
    surface_points: Points
    reference_points: Points
    reference_normals: Points
    volume: Labelled | None
    near: Labelled | None


@dataclass(frozen=True)
class Untrue:
    """A shape without ground truth, and why."""

    id: str
    category: str
    reason: str


def truths_of_prepared(
    root: Path, *, split: str, num_surface_points: int, seed: int, only: Container[str] | None = None
) -> Iterator[Truth | Untrue]:
    """Shapes of one split of a prepared folder, in the order of its index; one in a damaged shard is an `Untrue`.

    Args:
        root: Folder that `lagem prepare` wrote.
        split: As in the index.
        num_surface_points: N; the points are a window of the stored ones at a place keyed by the seed and the id.
        seed: Of that place.
        only: Ids to be given; None for all.
    """
    shards = Shards(root)
    for index, id in enumerate(shards.ids):
        if shards.splits[index] != split or (only is not None and id not in only):
            continue
        try:
            yield _truth_of_prepared(shards, index, num_surface_points, seed)
        except ValueError as error:
            yield Untrue(id=id, category=shards.categories[index], reason=str(error))


def truths_of_meshes(
    sources: list[Path],
    *,
    num_surface_points: int,
    num_reference_points: int,
    seed: int,
    only: Container[str] | None = None,
) -> Iterator[Truth | Untrue]:
    """Mesh files as they are, found as `lagem prepare` finds them; one that cannot be read is an `Untrue`.

    Args:
        sources: Files, folders and manifests.
        num_surface_points: N, drawn from the mesh's surface.
        num_reference_points: R, drawn from it too.
        seed: Of the draws, keyed by the id.
        only: Ids to be given; None for all.
    """
    for mesh in find_meshes(sources, val_share=0):
        if only is not None and mesh.id not in only:
            continue
        rng = sample_generator(seed, 0, mesh.id)
        try:
            source = load_mesh(mesh.path)
            unit = source.in_frame(Frame.of(source.vertices))
            surface_points, _ = sample_surface(unit, num_surface_points, rng)
            reference_points, normals = sample_surface(unit, num_reference_points, rng)
        except ValueError as error:
            yield Untrue(id=mesh.id, category=mesh.category, reason=str(error).removeprefix(f"{mesh.path}: "))
            continue
        yield Truth(
            id=mesh.id,
            category=mesh.category,
            surface_points=surface_points.astype(np.float32),
            reference_points=reference_points.astype(np.float32),
            reference_normals=normals.astype(np.float32),
            volume=None,
            near=None,
        )


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
        volume=_labelled(shards, index, "volume", (1 / drawn[0], 1 / drawn[1])),
        near=_labelled(shards, index, "near", (1.0, 1.0)),
    )


def _labelled(shards: Shards, index: int, kind: Literal["volume", "near"], weights: tuple[float, float]) -> Labelled:
    points, occupancy = labelled(shards, index, kind)
    return Labelled(points=points, occupancy=occupancy, weight=np.where(occupancy, *weights))
