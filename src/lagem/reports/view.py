"""Run `lagem view`: write a page that shows the shapes in some files, and open it in the browser."""

import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from lagem.geometry.frame import Up
from lagem.reports.meshes import ShownFile, gallery_of
from lagem.reports.page.content import Page, Section
from lagem.reports.report import written
from lagem.sources.mesh_files import find_meshes
from lagem.storage.atomic import check_folder


def view(paths: Sequence[Path], output: Path | None, *, up: Up) -> Path:
    """Write a page that shows the shapes in files. If no output is given, open the page in the browser.

    Args:
        paths: Meshes and point clouds, folders of meshes, and manifests.
        output: Path of the page; None for a new file in the folder for temporary files.
        up: The axis that points up, for files that do not specify one.

    Returns:
        The path of the page.

    Raises:
        ValueError: If a path is missing, or no file can be read.
    """
    files: list[ShownFile] = []
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".csv":
            files += [ShownFile(mesh.id, Path(mesh.path), up) for mesh in find_meshes([path], val_share=0)]
        elif path.exists():
            files.append(ShownFile(path.name, path, up))
        else:
            raise ValueError(
                f"{path}: there is no such file or folder; give meshes, point clouds or folders of meshes."
            )
    if output is not None:
        check_folder(output.parent)
    gallery, hidden = gallery_of(files)
    if all(view.shape is None for view in gallery.views):
        raise ValueError(f"none of {len(files)} files can be read. {files[0].title}: {gallery.views[0].reason}")
    for shown in gallery.views:
        if shown.shape is None:
            print(f"{shown.title}: {shown.reason}")
    title = files[0].title if len(files) == 1 else f"{files[0].title} and {len(files) - 1} more"
    page = Page(
        title, f"{len(files):,} {'shape' if len(files) == 1 else 'shapes'}.{hidden}", [Section("Shapes", [gallery])]
    )
    if output is not None:
        return written(page, output)
    path = written(page, Path(tempfile.mkdtemp(prefix="lagem-view-")) / "view.html")
    if not webbrowser.open(path.as_uri()):
        print("No browser was found on this machine.")
    return path
