"""Reads one shape that others prepared, and checks types, sizes and counts of its arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame
from lagem.importing.layout import Layout
from lagem.storage.checked.npz import NpzFile, read_npy

# N surface points, Q queries of one kind

LEAST_POINTS, MOST_POINTS = 500, 2**23
SURFACE_FOLDERS = ("ShapeNetV2_watertight", "ShapeNetV2_surface")  # names in the authors' code and archives
LARGEST = 1e6  # largest absolute coordinate


@dataclass(frozen=True)
class RawQueries:
    """Queries with their labels, in the frame of the surface points.

    points: (Q, 3) float64.
    inside: (Q,) bool.
    distance: (Q,) float64, absolute values of the signed distances in the file, in the unit of the points; None if
        the file states occupancies.
    """

    points: NDArray[np.float64]
    inside: NDArray[np.bool_]
    distance: NDArray[np.float64] | None


@dataclass(frozen=True)
class RawShape:
    """One shape as others stored it, before conversion.

    surface_points: (N, 3) float64.
    surface_normals: (N, 3) float64 of unit length; None if the layout has none.
    source: frame that maps coordinates of the sampled mesh to those of `surface_points`.
    """

    surface_points: NDArray[np.float64]
    surface_normals: NDArray[np.float64] | None
    volume: RawQueries
    near: RawQueries
    source: Frame


def read_npz_shape(path: Path, layout: Layout) -> RawShape:
    """Read a shape whose arrays are all in one npz file.

    Raises:
        ValueError: If an array is missing, or its type, size or values are not valid.
    """
    with NpzFile(path) as file:
        volume = _queries(file, layout.volume_points, layout.volume_labels, layout)
        near = _queries(file, layout.near_points, layout.near_labels, layout)
        points = _points(file.array(layout.surface), layout.surface, layout, columns=(3,))
        normals = None if layout.normals is None else _normals(file.array(layout.normals), layout.normals, len(points))
        source = Frame(center=np.zeros(3), scale=1.0)
        if layout.center is not None and layout.scale is not None:
            center, scale = (np.asarray(file.array(name), np.float64) for name in (layout.center, layout.scale))
            if center.size != 3 or scale.size != 1:
                raise ValueError(
                    f"{layout.center} has {center.size} numbers and {layout.scale} has {scale.size}, not 3 and 1."
                )
            source = Frame.of_rows(center.reshape(1, 3), scale.reshape(1), source=path)[0]
    return RawShape(points, normals, volume, near, source)


def read_vecset_shape(path: Path, layout: Layout) -> RawShape:
    """Read a shape of the 3DILG release, whose queries, scale and surface are in three files.

    Args:
        path: `ShapeNetV2_point/<synset>/<id>.npz`. Next to it is `<id>.npy`, the factor that scales the surface to the
            queries. The surface is in `<folder>/<synset>/4_pointcloud/<id>.npz`, for a <folder> in `SURFACE_FOLDERS`.
        layout: The names of the arrays.
    """
    scale = np.asarray(read_npy(path.with_suffix(".npy")), dtype=np.float64)
    if scale.size != 1 or not np.isfinite(scale).all() or not (scale > 0).all():
        raise ValueError(
            f"{path.with_suffix('.npy')}: must hold one number, a positive scale, but holds "
            f"{np.array2string(scale.reshape(-1), threshold=3, edgeitems=1)}."
        )
    factor = float(scale.reshape(-1)[0])
    with NpzFile(path) as file:
        volume = _queries(file, layout.volume_points, layout.volume_labels, layout)
        near = _queries(file, layout.near_points, layout.near_labels, layout)
    surfaces = [path.parents[2] / name / path.parent.name / "4_pointcloud" / path.name for name in SURFACE_FOLDERS]
    with NpzFile(next(filter(Path.exists, surfaces), surfaces[0])) as file:
        points = _points(file.array(layout.surface), layout.surface, layout, columns=(3,))
        normals = _normals(file.array("normals"), "normals", len(points)) if "normals" in file else None
    return RawShape(points * factor, normals, volume, near, Frame(center=np.zeros(3), scale=factor))


def _queries(file: NpzFile, points_name: str, labels_name: str | None, layout: Layout) -> RawQueries:
    points = _points(file.array(points_name), points_name, layout, columns=(3,) if labels_name else (4,))
    if labels_name is None:
        points, labels, name = points[:, :3], points[:, 3], f"the last column of {points_name}"
    else:
        labels, name = _labels(file.array(labels_name), labels_name, len(points), layout), labels_name
    if layout.sign == "occupancy":
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(
                f"{name} holds values from {labels.min():.4g} to {labels.max():.4g}, but each must be an "
                "occupancy, exactly 0 or 1."
            )
        return RawQueries(points, labels == 1, None)
    return RawQueries(points, labels < 0 if layout.sign == "negative_inside" else labels > 0, np.abs(labels))


def _points(array: NDArray[Any], name: str, layout: Layout, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """Return (N, 3) points, or (N, 4) with the labels in the fourth column, after checking type, shape and range."""
    if array.dtype.kind != "f" or (layout.dtype is not None and array.dtype != layout.dtype):
        raise ValueError(f"{name} is {array.dtype}, but must be {layout.dtype or 'of a floating-point type'}.")
    if array.ndim != 2 or array.shape[1] not in columns:
        raise ValueError(f"{name} has shape {array.shape}, but must have {columns[0]} columns.")
    if not LEAST_POINTS <= len(array) <= MOST_POINTS:
        raise ValueError(f"{name} has {len(array)} rows, but must have {LEAST_POINTS} to {MOST_POINTS:,}.")
    points = array.astype(np.float64)
    if bad := int((~(np.abs(points) <= LARGEST)).any(axis=1).sum()):
        raise ValueError(f"{name}: {bad} of {len(points)} rows are not finite, or exceed {LARGEST:g}.")
    return points


def _labels(array: NDArray[Any], name: str, count: int, layout: Layout) -> NDArray[np.float64]:
    stored = "uint8" if layout.label_dtype == "bits" else layout.label_dtype
    if stored is not None and array.dtype != stored:
        raise ValueError(f"{name} is {array.dtype}, but must be {stored}.")
    if layout.label_dtype == "bits" and array.ndim == 1 and len(array) == -(-count // 8):
        array = np.unpackbits(array, count=count)
    if array.size != count:
        raise ValueError(f"{name} has {array.size} labels for {count} points; one of these arrays is incomplete.")
    labels = array.reshape(-1).astype(np.float64)
    if not np.isfinite(labels).all():
        raise ValueError(f"{name}: {(~np.isfinite(labels)).sum()} of {count} labels are not finite.")
    return labels


def _normals(array: NDArray[Any], name: str, count: int) -> NDArray[np.float64]:
    if array.dtype.kind != "f" or array.shape != (count, 3):
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, but must have 3 numbers for each point.")
    normals = array.astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if not ((length > 0.9) & (length < 1.1)).all():
        raise ValueError(f"{name}: lengths are {np.nanmin(length):.3g} to {np.nanmax(length):.3g}, but must be 1.")
    unit: NDArray[np.float64] = normals / length
    return unit
