"""Triangle meshes: load with checks, save, map by a frame, ask whether they are closed.

A file is checked before and after parsing, so that whatever leaves `load_mesh` has finite vertices, valid indices,
a positive area and a positive extent. Parsing itself is trimesh's, with all its repairs switched off.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.checks import FILE_CHECKS
from lagem.geometry.files.parsing import MeshError as MeshError
from lagem.geometry.files.parsing import checked_path, parse, unreadable
from lagem.geometry.frame import Frame
from lagem.storage.atomic import replaced, write_bytes

# V vertices, F faces, N points

KNOWN_ENDINGS = tuple(FILE_CHECKS)
SAVED_ENDINGS = (".ply", ".glb", ".obj", ".stl", ".off")
POINT_ENDINGS = (".ply", ".xyz", ".npy")
LEAST_RELATIVE_AREA = 1e-12  # of the squared extent: below it, the faces are lines and points up to rounding
EXTENTS = (1e-100, 1e100)  # outside, squared lengths leave float64


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in any frame.

    vertices: (V, 3) float64.
    faces: (F, 3) int64, indices of vertices, counter-clockwise seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, dtype in (("vertices", np.float64), ("faces", np.int64)):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if array.ndim != 2 or array.shape[1] != 3:
                raise ValueError(f"a mesh's {name} must be of shape (n, 3), but {array.shape} was given.")
            object.__setattr__(self, name, array)

    def with_faces(self, chosen: NDArray[np.bool_]) -> "Mesh":
        """The (F,) chosen faces, with the vertices that they use."""
        kept, faces = np.unique(self.faces[chosen], return_inverse=True)
        return Mesh(self.vertices[kept], faces.reshape(-1, 3))

    @property
    def area(self) -> float:
        """Total area, in the squared unit of the vertices."""
        return float(self.normals_and_areas()[1].sum())

    @property
    def signed_volume(self) -> float:
        """Enclosed volume, overlaps counted as often as they are covered; negative where faces look inward."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return float((a * np.cross(b, c)).sum() / 6)

    def normals_and_areas(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit normals (F, 3), zero where a face has no area, and areas (F,) of the faces."""
        extent = float(np.ptp(self.vertices, axis=0).max()) if len(self.vertices) else 0.0
        corners = self.vertices[self.faces] / (extent or 1.0)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(cross, axis=1)
        return cross / np.where(lengths > 0, lengths, 1)[:, None], lengths * (extent * extent / 2)

    def in_frame(self, frame: Frame) -> "Mesh":
        """This mesh of the source, mapped into the unit sphere."""
        return Mesh(frame.to_unit(self.vertices), self.faces)

    def in_source(self, frame: Frame) -> "Mesh":
        """This mesh of the unit sphere, mapped back to the source's coordinates."""
        return Mesh(frame.to_source(self.vertices), self.faces)

    def save(self, path: str | Path) -> None:
        """Write a ply (float64), glb, obj, stl or off file (precision of the format), whole or not at all.

        Missing folders are made. Raises ValueError for another ending.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in SAVED_ENDINGS:
            raise ValueError(f"{path}: meshes are saved as {', '.join(SAVED_ENDINGS)}, not `{ending}`; rename it.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".ply":
            write_bytes(path, self._as_ply())
            return
        import trimesh

        with replaced(path) as temporary:
            trimesh.Trimesh(self.vertices, self.faces, process=False).export(temporary)

    def _as_ply(self) -> bytes:
        """Binary ply with float64 vertices: in float32, near vertices of a fine surface would fall together."""
        header = (
            f"ply\nformat binary_little_endian 1.0\nelement vertex {len(self.vertices)}\n"
            "property double x\nproperty double y\nproperty double z\n"
            f"element face {len(self.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
        )
        rows = np.empty(len(self.faces), dtype=[("corners", "u1"), ("vertices", "<i4", 3)])
        rows["corners"], rows["vertices"] = 3, self.faces
        return header.encode() + self.vertices.astype("<f8").tobytes() + rows.tobytes()


def load_mesh(path: str | Path) -> Mesh:
    """All triangles of an obj, ply, off, stl, glb or gltf file as one mesh, in the source's coordinates.

    Scenes are flattened with their transforms, polygons are cut into triangles, vertices at one position become one,
    faces that name a vertex twice and vertices that no face names are dropped. Raises MeshError, naming the file.
    """
    path = checked_path(path, KNOWN_ENDINGS, "meshes")
    vertices, faces = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)]
    offset = 0
    for transform, geometry in parse(path):
        own = np.asarray(geometry.vertices, dtype=np.float64)
        corners = np.asarray(getattr(geometry, "faces", ()), dtype=np.int64).reshape(-1, 3)  # a cloud has no faces
        if len(corners) and not 0 <= corners.min() <= corners.max() < len(own):
            raise MeshError(
                f"{path}: faces name vertices {corners.min()} to {corners.max()}, but there are {len(own)} "
                "(counted from 0); repair the file's indices."
            )
        if bad := int((~np.isfinite(own)).any(axis=1).sum()):
            raise MeshError(
                f"{path}: {bad} of {len(own)} vertices are not finite, so the shape has no frame. "
                "Repair the file, or drop those vertices before preparing it."
            )
        mirrored = np.linalg.det(transform[:3, :3]) < 0
        vertices.append(own @ transform[:3, :3].T + transform[:3, 3])
        faces.append((corners[:, ::-1] if mirrored else corners) + offset)
        offset += len(own)
    mesh = _merged(np.concatenate(vertices), np.concatenate(faces))
    if not any(map(len, faces)):
        found = f"has {offset} vertices but no faces" if offset else "has no vertices and no faces"
        raise MeshError(f"{path}: {found}, so there is no surface; give a triangle mesh.")
    with np.errstate(over="ignore"):
        extent = np.ptp(mesh.vertices, axis=0).max() if len(mesh.faces) else 0.0
    if not extent > 0:
        raise MeshError(f"{path}: no face has three different corners, so its area and extent are zero; repair it.")
    if not EXTENTS[0] < extent < EXTENTS[1]:
        raise MeshError(f"{path}: its extent of {extent:g} is outside {EXTENTS}; scale it in its source's program.")
    if not mesh.area > LEAST_RELATIVE_AREA * extent**2:
        raise MeshError(f"{path}: its {len(mesh.faces)} faces have a total area of zero; repair or leave out the file.")
    return mesh


def load_points(path: str | Path) -> NDArray[np.float64]:
    """Point cloud of a ply file without faces, an xyz text file or an (N, 3) npy file.

    Columns after the third (normals, colours) are left out.

    Returns:
        (N, 3) float64, in the source's coordinates. Raises MeshError, naming the file.
    """
    path = checked_path(path, POINT_ENDINGS, "point clouds")
    if path.suffix.lower() == ".ply":
        found = [np.asarray(geometry.vertices) for _, geometry in parse(path) if not hasattr(geometry, "faces")]
        if len(found) != 1:
            raise MeshError(f"{path}: holds no cloud of points alone; load it as a mesh and sample its surface.")
        points = found[0]
    else:
        try:
            if path.suffix.lower() == ".npy":
                points = np.load(path, mmap_mode="r", allow_pickle=False)  # a map cannot outgrow its file
            else:
                points = np.loadtxt(path, ndmin=2, dtype=np.float64)
            if points.ndim != 2 or points.shape[1] < 3:
                raise ValueError(f"an array of shape {points.shape} is no (N, 3) cloud")
            points = np.array(points[:, :3], dtype=np.float64)
        except Exception as error:
            raise unreadable(path, error) from error
    if len(points) == 0 or not np.isfinite(points).all():
        raise MeshError(f"{path}: {len(points)} points, not all finite or none at all; repair the file.")
    return np.array(points, dtype=np.float64)


def _merged(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Mesh:
    """One vertex a position, in order of first appearance; no face with a repeated vertex, no vertex without a face."""
    faces = faces.reshape(-1)
    if len(vertices) == 0 or len(faces) == 0:
        return Mesh(vertices[:0], faces.reshape(-1, 3))
    order = np.lexsort(vertices.T)
    starts = np.r_[True, (vertices[order][1:] != vertices[order][:-1]).any(axis=1)]
    first = np.minimum.reduceat(order, np.flatnonzero(starts))
    representative = np.empty(len(vertices), dtype=np.int64)
    representative[order] = first[np.cumsum(starts) - 1]
    faces = representative[faces].reshape(-1, 3)
    repeated = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return Mesh(vertices, faces).with_faces(~repeated)
