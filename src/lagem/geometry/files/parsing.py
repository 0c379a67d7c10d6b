"""From a file to trimesh's raw geometry; whatever goes wrong on the way becomes one MeshError that names the file."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.files.checks import FILE_CHECKS, first_bad_obj_line


class MeshError(ValueError):
    """A file or mesh that cannot be used, with the reason and the remedy in one line."""


def checked_path(path: str | Path, endings: tuple[str, ...], what: str) -> Path:
    """The path of a file that is there, is not empty and has one of the endings."""
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise MeshError(f"{path}: {found}, but a file is needed; check the path.")
    if path.suffix.lower() not in endings:
        raise MeshError(f"{path}: the ending `{path.suffix}` is unknown; {what} are read from {', '.join(endings)}.")
    if path.stat().st_size == 0:
        raise MeshError(f"{path}: is empty (0 bytes); fetch or save it again.")
    return path


def parse(path: Path) -> list[tuple[NDArray[np.float64], Any]]:
    """Pairs of a (4, 4) float64 transform and a trimesh geometry, nothing merged, clipped or repaired."""
    import trimesh

    class Beside(trimesh.resolvers.FilePathResolver):
        """Files of the folder, by names as they stand in a URI (a space is %20)."""

        def get(self, name: str) -> bytes:
            found: bytes = super().get(unquote(name))
            return found

    try:
        FILE_CHECKS[path.suffix.lower()](path)
    except Exception as error:
        if type(error) is ValueError:
            raise MeshError(f"{path}: {error}") from error
        raise unreadable(path, error) from error
    try:
        scene = trimesh.load_scene(path, resolver=Beside(str(path)), process=False, skip_materials=True)
        placed = [scene.graph[node] for node in scene.graph.nodes_geometry]
        return [(np.asarray(transform, dtype=np.float64), scene.geometry[name]) for transform, name in placed]
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> MeshError:
    """MeshError for whatever a parsing library raised."""
    if path.suffix.lower() == ".obj" and (line := first_bad_obj_line(path)):
        return MeshError(f"{path}: {line}")
    text = " ".join(str(error).split()).rstrip(".")
    if "PLY is unexpected length" in text:
        return MeshError(
            f"{path}: its data and its header differ in length; it was cut off, or is a binary ply that mixes "
            "triangles with other polygons: fetch it again or save it with triangles only."
        )
    return MeshError(f"{path}: could not be read ({type(error).__name__}: {text}); repair it or save it again.")
