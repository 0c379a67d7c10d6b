"""Triangle meshes: their areas, normals and volume, their mapping by a frame, and saving them to files."""

import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.writing import WRITERS, as_glb, centred, lost_in_float32
from lagem.geometry.frame import Frame, Up
from lagem.storage.atomic import write_bytes

# V vertices, F faces

MOST_LOST = 1e-4  # a larger rounding error, as a fraction of the extent, causes a warning


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh of triangles, in any frame.

    vertices: (V, 3) float64.
    faces: (F, 3) int64, the vertex indices of each face, counter-clockwise if seen from outside.
    up: the axis that points up.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    up: Up = field(default="z", kw_only=True)

    def __post_init__(self) -> None:
        for name, dtype in (("vertices", np.float64), ("faces", np.int64)):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype)
            if array.ndim != 2 or array.shape[1] != 3:
                raise ValueError(f"a mesh's {name} must be of shape (n, 3), but {array.shape} was given.")
            object.__setattr__(self, name, array)
        if self.up not in ("y", "z"):
            raise ValueError(f"a mesh's up axis is y or z, but {self.up!r} was given.")

    def with_faces(self, chosen: NDArray[np.bool_]) -> "Mesh":
        """Return the mesh of the faces for which `chosen`, (F,) bool, is True, with only the vertices that they use."""
        kept, faces = np.unique(self.faces[chosen], return_inverse=True)
        return Mesh(self.vertices[kept], faces.reshape(-1, 3), up=self.up)

    @property
    def area(self) -> float:
        """Total area, in the squared unit of the vertices."""
        return float(self.normals_and_areas()[1].sum())

    @property
    def signed_volume(self) -> float:
        """Volume of a closed mesh; negative if the mesh is inside out.

        If parts overlap, the overlap counts once for each of them.
        """
        corners = centred(self.vertices)[0][self.faces]  # for a mesh far from the origin, large terms would cancel
        a, b, c = (corners[:, corner] for corner in range(3))
        return float((a * np.cross(b, c)).sum() / 6)

    def normals_and_areas(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the unit normals (F, 3) and the areas (F,) of the faces; the normal of a face without area is zero."""
        extent = float(np.ptp(self.vertices, axis=0).max()) if len(self.vertices) else 0.0
        corners = self.vertices[self.faces] / (extent or 1.0)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(cross, axis=1)
        return cross / np.where(lengths > 0, lengths, 1)[:, None], lengths * (extent * extent / 2)

    def in_frame(self, frame: Frame) -> "Mesh":
        """Return this mesh, mapped by the frame from the original coordinates to the unit sphere."""
        return Mesh(frame.to_unit(self.vertices), self.faces, up=self.up)

    def in_source(self, frame: Frame) -> "Mesh":
        """Return this mesh, mapped by the frame from the unit sphere back to the original coordinates."""
        return Mesh(frame.to_source(self.vertices), self.faces, up=self.up)

    def turned(self, up: Up) -> "Mesh":
        """Return this mesh, turned about the x axis so that its up axis becomes `up`."""
        if up == self.up:
            return self
        x, y, z = self.vertices.T
        turned = (x, z, -y) if up == "y" else (x, -z, y)
        return Mesh(np.stack(turned, axis=1) + 0.0, self.faces, up=up)  # -0 becomes 0

    def save(self, path: str | Path, *, up: Up | None = None) -> None:
        """Write a ply, obj or off file (float64), or a glb or stl file (float32), whole or not at all.

        A glb file stores vertices relative to their centre, so the file is as accurate for a mesh far from the origin
        as for a mesh near the origin. An stl file cannot do this. There is a warning if rounding moves a vertex by more
        than 1e-4 of the mesh's extent. Missing folders are created.

        In a glb file, y points up by specification. If z points up in the mesh, the file contains a rotation, so that
        the mesh stands upright in a viewer. A mesh that is read from this file has y up. The other formats do not say
        which axis points up, so the coordinates are written unchanged.

        Args:
            path: The file; its extension names the format.
            up: The axis that points up in the mesh; None for `self.up`. Only a glb file depends on it.

        Raises:
            ValueError: If the extension is none of these, or float32 cannot hold the coordinates.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in WRITERS:
            raise ValueError(f"{path}: meshes are saved as {', '.join(WRITERS)}, not `{ending}`; choose one of these.")
        if ending in (".stl", ".glb"):
            lost = lost_in_float32(self.vertices if ending == ".stl" else centred(self.vertices)[0])
            if not np.isfinite(lost):
                raise ValueError(
                    f"{path}: {ending} stores float32, which cannot hold the mesh's coordinates; save a ply file."
                )
            if lost > MOST_LOST:
                warnings.warn(
                    f"{path}: {ending} stores float32, which moves vertices by up to {lost:.2g} of the mesh's extent; "
                    "use ply.",
                    stacklevel=2,
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        written = partial(as_glb, up=up or self.up) if ending == ".glb" else WRITERS[ending]
        write_bytes(path, written(self.vertices, self.faces))
