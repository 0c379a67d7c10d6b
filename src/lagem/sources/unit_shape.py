"""A file's surface in the unit sphere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.parsing import MeshError, checked_path
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import KNOWN_ENDINGS, POINT_ENDINGS, Mesh, load_mesh, load_points
from lagem.geometry.sampling import sample_surface


@dataclass(frozen=True)
class UnitShape:
    """A file's surface in the unit sphere.

    surface: the mesh, or None for a point cloud.
    draw: gives (count, 3) float64 points of the surface.
    """

    name: str
    frame: Frame
    surface: Mesh | None
    draw: Callable[[int, np.random.Generator], NDArray[np.float64]]


def load_shape(path: Path) -> UnitShape:
    """Read a mesh, or a point cloud where the file has no faces, and bring it into the unit sphere.

    Raises:
        MeshError: Where the file holds neither.
    """
    path = checked_path(path, tuple(dict.fromkeys(KNOWN_ENDINGS + POINT_ENDINGS)), "meshes and point clouds")
    if path.suffix.lower() in POINT_ENDINGS and path.suffix.lower() not in KNOWN_ENDINGS:
        return _cloud(path, load_points(path))
    try:
        source = load_mesh(path)
    except MeshError as mesh_error:
        try:
            points = load_points(path)
        except MeshError:
            raise mesh_error from None
        return _cloud(path, points)
    frame = Frame.of(source.vertices)
    surface = source.in_frame(frame)
    return UnitShape(
        name=path.stem,
        frame=frame,
        surface=surface,
        draw=lambda count, rng: sample_surface(surface, count, rng)[0],
    )


def _cloud(path: Path, points: NDArray[np.float64]) -> UnitShape:
    try:
        frame = Frame.of(points)
    except ValueError as error:
        raise MeshError(f"{path}: {error}") from error
    unit = frame.to_unit(points)

    def draw(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return unit[rng.permutation(len(unit))[:count]]

    return UnitShape(name=path.stem, frame=frame, surface=None, draw=draw)
