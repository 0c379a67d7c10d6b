"""Sources of surface points: the shapes of a prepared folder, and mesh files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame, Up
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface
from lagem.prepared.shards import Shards, random_window
from lagem.sources.mesh_files import find_meshes
from lagem.sources.reading import read_mesh

EVERY_SPLIT = "every"
Points = NDArray[np.float32]


class SurfaceSource(Protocol):
    """Shapes on whose surfaces points can be drawn.

    ids, categories, splits: One entry for each shape.
    description: The settings or the path that determine the shapes, in plain types.
    up: The axis that points up in all shapes; None if it is not known, or not the same in all.
    """

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def categories(self) -> Sequence[str]: ...

    @property
    def splits(self) -> Sequence[str]: ...

    description: dict[str, Any]
    up: Up | None

    def draw(self, index: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw (count, 3) points on the surface of shape `index`, in the unit-sphere frame."""

    def frame(self, index: int) -> Frame:
        """Return the frame that maps the original coordinates of shape `index` to the unit sphere and back."""


class PreparedSurfaces:
    """The shapes of a folder that `lagem prepare` wrote.

    `draw` returns consecutive stored points, starting from a random one.
    """

    def __init__(self, root: str | Path) -> None:
        self._shards = Shards(root)
        self.ids: Sequence[str] = self._shards.ids
        self.categories: Sequence[str] = self._shards.categories
        self.splits: Sequence[str] = self._shards.splits
        self.description = self._shards.header
        self.up = self._shards.up

    def draw(self, index: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return random_window(self._shards, index, "surface_points", count, rng)

    def frame(self, index: int) -> Frame:
        return self._shards.frame(index)


class MeshSurfaces:
    """Mesh files, found as `lagem prepare` finds them; each of them belongs to every split.

    `up` is None, since glTF files have y up and others may not; the mesh that `unit_mesh` returns has its own `up`.

    Args:
        source: A mesh file, a folder or a manifest.
    """

    def __init__(self, source: Path) -> None:
        meshes = find_meshes([source], val_share=0)
        self._paths = [mesh.path for mesh in meshes]
        self.ids = [mesh.id for mesh in meshes]
        self.categories = [mesh.category for mesh in meshes]
        self.splits = [EVERY_SPLIT] * len(meshes)
        self.description: dict[str, Any] = {"meshes": str(source)}
        self.up: Up | None = None

    def draw(self, index: int, count: int, rng: np.random.Generator) -> Points:
        """Draw (count, 3) points on the surface of mesh `index`, in the unit-sphere frame.

        Raises:
            ValueError: If the file cannot be read, or the mesh has no surface.
        """
        return sample_surface(self.unit_mesh(index), count, rng)[0].astype(np.float32)

    def unit_mesh(self, index: int, *, up: Up = "z") -> Mesh:
        """Return mesh `index` in the unit-sphere frame; `up` is its up axis unless it comes from a glTF file.

        Raises:
            ValueError: If the file cannot be read.
        """
        mesh = read_mesh(self._paths[index], up=up)
        return mesh.in_frame(Frame.of(mesh.vertices))

    def frame(self, index: int) -> Frame:
        """Return the frame of mesh `index`, which maps its file's coordinates to the unit sphere and back."""
        return Frame.of(read_mesh(self._paths[index]).vertices)
