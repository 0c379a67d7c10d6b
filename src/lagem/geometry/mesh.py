"""Triangle meshes: their areas, normals and volume, their mapping by a frame, and how they are saved."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.writing import WRITERS, centred, lost_in_float32
from lagem.geometry.frame import Frame
from lagem.storage.atomic import write_bytes

# V vertices, F faces

MOST_LOST = 1e-4  # largest rounding error, as a fraction of the extent, that gives no warning


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
        """Mesh of the chosen faces, (F,) bool, with only the vertices that they use."""
        kept, faces = np.unique(self.faces[chosen], return_inverse=True)
        return Mesh(self.vertices[kept], faces.reshape(-1, 3))

    @property
    def area(self) -> float:
        """Total area, in the squared unit of the vertices."""
        return float(self.normals_and_areas()[1].sum())

    @property
    def signed_volume(self) -> float:
        """Volume of a closed mesh, an overlap counting once for each part that covers it; negative if inside out."""
        corners = centred(self.vertices)[0][self.faces]  # far from the origin, large terms would cancel
        a, b, c = (corners[:, corner] for corner in range(3))
        return float((a * np.cross(b, c)).sum() / 6)

    def normals_and_areas(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit normals (F, 3) of the faces, zero for a face without area, and their areas (F,)."""
        extent = float(np.ptp(self.vertices, axis=0).max()) if len(self.vertices) else 0.0
        corners = self.vertices[self.faces] / (extent or 1.0)
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(cross, axis=1)
        return cross / np.where(lengths > 0, lengths, 1)[:, None], lengths * (extent * extent / 2)

    def in_frame(self, frame: Frame) -> "Mesh":
        """This mesh, given in the source's coordinates, mapped into the unit sphere."""
        return Mesh(frame.to_unit(self.vertices), self.faces)

    def in_source(self, frame: Frame) -> "Mesh":
        """This mesh, given in the unit sphere, mapped back to the source's coordinates."""
        return Mesh(frame.to_source(self.vertices), self.faces)

    def save(self, path: str | Path) -> None:
        """Write a ply, obj or off file (float64), or a glb or stl file (float32), whole or not at all.

        A glb stores float32 vertices relative to their centre, so it is as accurate far from the origin as near it. An
        stl cannot, so it warns if rounding moves a vertex by more than 1e-4 of the extent. Missing folders are created.

        Raises:
            ValueError: If the ending is not one of these, or float32 cannot hold the coordinates.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in WRITERS:
            raise ValueError(f"{path}: meshes are saved as {', '.join(WRITERS)}, not `{ending}`; rename it.")
        if ending in (".stl", ".glb"):
            lost = lost_in_float32(self.vertices if ending == ".stl" else centred(self.vertices)[0])
            if not np.isfinite(lost):
                raise ValueError(f"{path}: {ending} keeps float32, which cannot hold its coordinates; save a ply file.")
            if lost > MOST_LOST:
                warnings.warn(
                    f"{path}: {ending} keeps float32, which moves vertices by {lost:.2g} of the extent; use ply.",
                    stacklevel=2,
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, WRITERS[ending](self.vertices, self.faces))
