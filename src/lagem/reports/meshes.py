"""Galleries of mesh files. If a file cannot be read, the gallery shows the reason instead of the shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lagem.geometry.frame import Frame, Up
from lagem.geometry.mesh import Mesh
from lagem.progress import long_progress
from lagem.reports.page.content import Gallery, View
from lagem.reports.page.packed import faces_of_each, packed
from lagem.sources.reading import read_surface
from lagem.storage.failures import raise_failure_behind

MOST_SHOWN = 200


@dataclass(frozen=True)
class ShownFile:
    """A file to show.

    file: Path of the mesh or point cloud, or a text that says why there is no file.
    up: The axis that points up if the file does not state it.
    notes: Lines below the title.
    """

    title: str
    file: Path | str
    up: Up
    notes: Sequence[str] = ()


def gallery_of(files: Sequence[ShownFile]) -> tuple[Gallery, str]:
    """Read meshes and point clouds from files, and return a gallery of them.

    Returns:
        The gallery of the first 200 files, and a sentence that says how many of the files are shown. The sentence
        starts with a space; it is empty if all files are shown.
    """
    shown = files[:MOST_SHOWN]
    most_faces = faces_of_each(len(shown))
    with long_progress() as progress:
        views = [_view(file, most_faces) for file in progress.track(shown, description="reading")]
    hidden = f" Of {len(files):,} shapes, the first {len(shown)} are shown." if len(shown) < len(files) else ""
    return Gallery(views), hidden


def _view(shown: ShownFile, most_faces: int) -> View:
    if isinstance(shown.file, str):
        return View(shown.title, None, notes=shown.notes, reason=shown.file)
    try:
        surface = read_surface(shown.file, up=shown.up)
        frame = Frame.of(surface.vertices if isinstance(surface, Mesh) else surface)
    except ValueError as error:
        raise_failure_behind(error, shown.file)
        return View(shown.title, None, notes=shown.notes, reason=str(error).removeprefix(f"{shown.file}: "))
    return View(shown.title, packed(surface, frame, most_faces=most_faces, up=shown.up), notes=shown.notes)
