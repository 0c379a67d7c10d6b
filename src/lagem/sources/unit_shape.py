"""Brings a mesh or a point cloud, from a file or from memory, into the unit sphere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_surface
from lagem.geometry.frame import Frame, Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface


@dataclass(frozen=True)
class UnitShape:
    """A mesh or a point cloud in the unit sphere.

    name: Name of the file without its extension, or a general name for a shape that is not from a file.
    frame: The frame, which maps the source's coordinates to the unit sphere and back.
    surface: The mesh; None for a point cloud.
    draw: Function that takes `count` and a random generator, and returns (count, 3) float64 points of the surface; from
        a point cloud, it draws at most as many points as the cloud has.
    up: The axis that points up.
    """

    name: str
    frame: Frame
    surface: Mesh | None
    draw: Callable[[int, np.random.Generator], NDArray[np.float64]]
    up: Up = "z"


def load_shape(path: Path, *, up: Up = "z") -> UnitShape:
    """Read a mesh, or a point cloud if the file has no faces, and bring it into the unit sphere.

    The file is read in this process, without limits of time and memory.

    Args:
        path: The file.
        up: The axis that points up if the file does not say which one does; in a glTF file, it is always y.

    Raises:
        MeshError: If the file holds neither a mesh nor a point cloud that can be used.
    """
    return shape_of(path, load_surface(path, up=up), up=up)


def shape_of(path: Path, surface: Mesh | NDArray[np.float64], *, up: Up = "z") -> UnitShape:
    """Bring the mesh or the points that were read from a file into the unit sphere.

    Args:
        path: The file; its name without the suffix becomes the name of the shape.
        surface: The mesh in the file, or its (N, 3) points.
        up: The axis that points up, if `surface` is points; a mesh states its up axis itself.

    Raises:
        MeshError: If the points have no extent.
    """
    if isinstance(surface, Mesh):
        return _surface(path.stem, surface)
    return _cloud(path.stem, surface, source=str(path), up=up)


ShapeLike = str | Path | Mesh | UnitShape | NDArray[Any] | Tensor


def unit_shape(shape: ShapeLike) -> UnitShape:
    """Bring a shape, which may be given in several forms, into the unit sphere.

    Args:
        shape: A path, a `Mesh`, an (N, 3) array or tensor of points, or a `UnitShape`, which is returned unchanged.

    Raises:
        ValueError: If `shape` is none of these, cannot be read, or has no extent.
    """
    if isinstance(shape, UnitShape):
        return shape
    if isinstance(shape, str | Path):
        return load_shape(Path(shape))
    if isinstance(shape, Mesh):
        if len(shape.faces) == 0 or not 0 <= shape.faces.min() <= shape.faces.max() < len(shape.vertices):
            raise ValueError(
                "the mesh has no faces, or a face refers to a vertex that does not exist (the mesh has "
                f"{len(shape.vertices)} vertices); repair the mesh."
            )
        return _surface("mesh", shape.with_faces(np.ones(len(shape.faces), dtype=np.bool_)))
    points = np.asarray(shape.detach().cpu() if isinstance(shape, Tensor) else shape)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0 or points.dtype.kind not in "fiu":
        raise ValueError(
            "a shape must be the path of a mesh or point cloud, a Mesh, or an (N, 3) array or tensor of points, but "
            f"{type(shape).__name__} of shape {points.shape} and type {points.dtype} was given."
        )
    return _cloud("points", points.astype(np.float64), source="the points")


def _surface(name: str, source: Mesh) -> UnitShape:
    frame = Frame.of(source.vertices)
    surface = source.in_frame(frame)
    return UnitShape(
        name=name,
        frame=frame,
        surface=surface,
        draw=lambda count, rng: sample_surface(surface, count, rng)[0],
        up=source.up,
    )


def _cloud(name: str, points: NDArray[np.float64], *, source: str, up: Up = "z") -> UnitShape:
    try:
        frame = Frame.of(points)
    except ValueError as error:
        raise MeshError(f"{source}: {error}") from error
    unit = frame.to_unit(points)

    def draw(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return unit[rng.permutation(len(unit))[:count]]

    return UnitShape(name=name, frame=frame, surface=None, draw=draw, up=up)
