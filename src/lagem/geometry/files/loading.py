"""Loading of a mesh or a point cloud from a file.

A mesh that `load_mesh` returns has finite vertices, valid indices, a positive area and a positive extent.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.errors import MOST_ELEMENTS, MeshError, as_numbers, checked_path, decoded, lines_of, quoted
from lagem.geometry.files.gltf import read_gltf
from lagem.geometry.files.obj import read_obj
from lagem.geometry.files.off import read_off
from lagem.geometry.files.ply import read_ply
from lagem.geometry.files.polygons import Polygons
from lagem.geometry.files.stl import read_stl
from lagem.geometry.frame import Up
from lagem.geometry.mesh import Mesh

# V vertices, F faces, N points

READERS: dict[str, Callable[[Path], Polygons]] = {
    ".obj": read_obj,
    ".ply": read_ply,
    ".off": read_off,
    ".stl": read_stl,
    ".glb": read_gltf,
    ".gltf": read_gltf,
}
MESH_ENDINGS = tuple(READERS)
GLTF_ENDINGS = (".glb", ".gltf")  # y-up by their specification; other formats do not say which axis points up
POINT_ENDINGS = (".ply", ".xyz", ".npy")
LEAST_RELATIVE_AREA = 1e-12  # as a fraction of the squared extent; with less area, all faces are lines or points
EXTENTS = (1e-100, 1e100)  # for extents outside this range, squared lengths may overflow or underflow


def load_mesh(path: str | Path, *, up: Up = "z") -> Mesh:
    """Load all faces of an obj, ply, off, stl, glb or gltf file as one mesh of triangles, in the file's coordinates.

    The transforms of scenes are applied, polygons are cut into triangles, and vertices at the same position are merged.
    Faces that use a vertex twice, and vertices that no face uses, are dropped.

    Args:
        path: The file.
        up: The axis that points up if the file does not say which one does; in a glTF file, it is always y.

    Raises:
        MeshError: If the file cannot be read or holds no surface; the message names the file.
    """
    path = checked_path(path, MESH_ENDINGS, "meshes")
    found, faces = _read(path)
    if len(faces) == 0:
        counts = (
            f"has {len(found.vertices)} vertices but no faces"
            if len(found.vertices)
            else "has no vertices and no faces"
        )
        raise MeshError(f"{path}: {counts}, so there is no surface; give a triangle mesh.")
    mesh = replace(_merged(found.vertices + 0.0, faces), up=up_axis(path, up))  # -0 and 0 are one position
    with np.errstate(over="ignore"):
        extent = np.ptp(mesh.vertices, axis=0).max() if len(mesh.faces) else 0.0
    if not extent > 0:
        raise MeshError(f"{path}: no face has three different corners, so area and extent are zero; repair the file.")
    if not EXTENTS[0] < extent < EXTENTS[1]:
        raise MeshError(f"{path}: its extent of {extent:g} is outside {EXTENTS}; scale it and save it again.")
    if not mesh.area > LEAST_RELATIVE_AREA * extent**2:
        raise MeshError(f"{path}: its {len(mesh.faces)} faces have a total area of zero; repair or leave out the file.")
    return mesh


def load_points(path: str | Path) -> NDArray[np.float64]:
    """Load the point cloud of a ply file without faces, an xyz text file, or an npy file of shape (N, 3).

    Columns after the third (normals, colours) are ignored.

    Returns:
        (N, 3) float64, in the file's coordinates.

    Raises:
        MeshError: If the file holds no point cloud; the message names the file.
    """
    path = checked_path(path, POINT_ENDINGS, "point clouds")
    ending = path.suffix.lower()
    if ending == ".ply":
        found, faces = _read(path)
        if len(faces):
            raise MeshError(f"{path}: holds faces, so it is not a cloud; load it as a mesh and sample its surface.")
        points = found.vertices
    else:
        try:
            points = _array(path) if ending == ".npy" else _table(path)
        except ValueError as error:
            raise MeshError(f"{path}: {error}") from error
        except OSError as error:
            raise MeshError(f"{path}: cannot be read ({error.strerror}); check the file.") from error
    if len(points) == 0 or not np.isfinite(points).all():
        raise MeshError(
            f"{path}: has {len(points)} points; at least one is needed, and all coordinates must be finite. "
            "Repair the file."
        )
    return points


def up_axis(path: str | Path, unknown: Up) -> Up:
    """Return the axis that points up in a file: y for a glTF file, else `unknown`."""
    return "y" if Path(path).suffix.lower() in GLTF_ENDINGS else unknown


def load_surface(path: str | Path, *, up: Up = "z") -> Mesh | NDArray[np.float64]:
    """Load the mesh of a file, or (N, 3) float64 points if the file has no faces, in the file's coordinates.

    Args:
        path: The file.
        up: The axis that points up if the file does not say which one does; in a glTF file, it is always y.

    Raises:
        MeshError: If the file holds neither a mesh nor points; the message names the file.
    """
    path = checked_path(path, tuple(dict.fromkeys(MESH_ENDINGS + POINT_ENDINGS)), "meshes and point clouds")
    if path.suffix.lower() not in MESH_ENDINGS:
        return load_points(path)
    try:
        return load_mesh(path, up=up)
    except MeshError as mesh_error:
        try:
            return load_points(path)
        except MeshError:
            raise mesh_error from None


def _read(path: Path) -> tuple[Polygons, NDArray[np.int64]]:
    """Read the polygons of a file, and cut them into triangles; any failure becomes a MeshError that names the file."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            polygons = READERS[path.suffix.lower()](path)
            polygons.check()
            return polygons, polygons.triangles()
    except ValueError as error:
        raise MeshError(f"{path}: {error}") from error
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions.") from error
    except RecursionError:
        raise MeshError(f"{path}: its content is nested too deeply; save it again from its source.") from None


def _array(path: Path) -> NDArray[np.float64]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, so the data cannot be larger than the file
    except PermissionError:
        raise
    except Exception as error:  # numpy parses the header as Python literals, which fails in many ways
        raise ValueError(
            f"is damaged, or is not an array that loads without running code ({quoted(str(error))}); save it again."
        ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise ValueError(f"holds {kind}, but a cloud is one array of real numbers; save it as float32 or float64.")
    if array.ndim != 2 or array.shape[1] < 3 or (array.shape[0] == 3 and array.shape[1] > 6):
        raise ValueError(
            f"holds an array of shape {array.shape}, but a cloud has shape (N, 3); save it with a point in each row."
        )
    if len(array) > MOST_ELEMENTS:
        raise ValueError(f"holds {len(array)} points, more than the limit of {MOST_ELEMENTS}; save fewer.")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(array[:, :3], dtype=np.float64)


def _table(path: Path) -> NDArray[np.float64]:
    text = decoded(path.read_bytes())
    rows = [row for line in lines_of(text) if (row := line.partition("#")[0].split())]
    if len({len(row) for row in rows}) > 1 or not rows or len(rows[0]) < 3:
        raise ValueError("is not a table with the same number of columns in each row, and at least three; repair it.")
    return as_numbers(word for row in rows for word in row[:3]).reshape(-1, 3)


def _merged(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Mesh:
    """Merge vertices at the same position. Faces that then use a vertex twice, and unused vertices, are dropped.

    The remaining vertices keep the order in which their positions first appear.
    """
    faces = faces.reshape(-1)
    order = np.lexsort(vertices.T)
    starts = np.r_[True, (vertices[order][1:] != vertices[order][:-1]).any(axis=1)]
    first = np.minimum.reduceat(order, np.flatnonzero(starts))
    representative = np.empty(len(vertices), dtype=np.int64)
    representative[order] = first[np.cumsum(starts) - 1]
    faces = representative[faces].reshape(-1, 3)
    repeated = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return Mesh(vertices, faces).with_faces(~repeated)
