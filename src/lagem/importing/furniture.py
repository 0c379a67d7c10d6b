"""Imports the furniture of Sweet Home 3D as meshes, with a manifest for `lagem prepare` and a list of attributions."""

import functools
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.files.obj import read_obj
from lagem.geometry.files.polygons import Polygons
from lagem.geometry.mesh import Mesh
from lagem.importing.catalogue import Piece, read_catalogue
from lagem.progress import long_progress
from lagem.sources.child import Failure, Limits
from lagem.sources.mesh_files import files_below
from lagem.sources.processes import run_in_processes
from lagem.storage.atomic import remove_leftovers, write_bytes, write_text
from lagem.storage.checked.zip_file import ZipMembers
from lagem.storage.csv_table import write_csv
from lagem.storage.failures import raise_failure_behind
from lagem.storage.names import check_own_folder
from lagem.storage.parts import locked

ENDING = ".sh3f"
MOST_BYTES = 2**28  # of one model, unpacked
MOST_LEFT_OUT = 0.05  # largest fraction of a model's faces that may be left out
LIMITS = Limits(seconds=120, memory=4 * 2**30)
MANIFEST_COLUMNS = ["file", "id", "category", "name", "group", "width", "depth", "height", "creator", "licence"]
ROTATION_TOLERANCE = 1e-3


def import_furniture(source: Path, output: Path, workers: int = 1) -> str:
    """Write the models of .sh3f files as meshes, and write `manifest.csv`, `refused.csv` and `ATTRIBUTION.md`.

    Existing meshes are not written again, so a call that was killed can be repeated. The meshes are y-up.

    Args:
        source: A .sh3f file, or a folder with such files.
        output: The folder to write to.
        workers: Number of child processes.

    Returns:
        A text for the terminal: how many models were imported and refused, and what to do next.
    """
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    archives = sorted(path for path in files_below(source) if path.suffix == ENDING) if source.is_dir() else [source]
    if not archives or not all(path.exists() for path in archives):
        raise ValueError(
            f"{source}: there is no such file, or the folder holds no {ENDING} file; give a file of this type, "
            "or a folder that holds some."
        )
    meshes = output / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    check_own_folder(meshes)
    with locked(output, "lagem import"):
        remove_leftovers(output)
        remove_leftovers(meshes)
        pieces = [piece for path in archives for piece in read_catalogue(path)]
        if twice := [id for id, count in Counter(piece.id for piece in pieces).items() if count > 1]:
            raise ValueError(f"{source}: two pieces have the id {twice[0]!r}; import the catalogues into two folders.")
        refused = _write_meshes(pieces, meshes, workers)
        used = [piece for piece in pieces if piece.id not in refused]
        write_csv(output / "refused.csv", ["id", "reason"], sorted(refused.items()))
        if not used:
            raise ValueError(
                f"none of {len(pieces)} models could be read; the reasons are in {output / 'refused.csv'}."
            )
        write_text(output / "ATTRIBUTION.md", attribution(used))
        rows = [
            [
                f"meshes/{piece.id}.ply",
                piece.id,
                piece.category,
                piece.name,
                piece.group,
                *piece.size,
                piece.creator,
                piece.licence,
            ]
            for piece in sorted(used, key=lambda piece: piece.id)
        ]
        write_csv(output / "manifest.csv", MANIFEST_COLUMNS, rows)
    counts = Counter(piece.category for piece in used).most_common()
    return (
        f"{len(used)} of {len(pieces)} models are imported, {len(refused)} refused ({output / 'refused.csv'}).\n"
        f"{', '.join(f'{count} {category}' for category, count in counts)}\n"
        f"Prepare them with `lagem prepare {output / 'manifest.csv'} --up y --output DATA`. Whoever publishes results "
        f"must name the creators: {output / 'ATTRIBUTION.md'}"
    )


def attribution(pieces: list[Piece]) -> str:
    """Return Markdown that lists, for each catalogue, its licence and the creators of its pieces."""
    lines = ["# Attribution", "", "Models of Sweet Home 3D catalogues, converted by `lagem import sweethome3d`."]
    for archive in dict.fromkeys(piece.archive for piece in pieces):
        own = [piece for piece in pieces if piece.archive == archive]
        lines += ["", f"## {Path(archive).stem}", "", own[0].licence, ""]
        by_creator: dict[str, list[str]] = {}
        for piece in own:
            by_creator.setdefault(piece.creator, []).append(piece.name)
        lines += [f"- {creator}: {', '.join(sorted(names))}" for creator, names in sorted(by_creator.items())]
    return "\n".join(lines) + "\n"


def _write_meshes(pieces: list[Piece], folder: Path, workers: int) -> dict[str, str]:
    """Write the meshes that do not exist yet; return for each refused model, by id, why it cannot be used."""
    todo = [piece for piece in pieces if not (folder / f"{piece.id}.ply").exists()]
    refused = {}
    with long_progress("{task.fields[refused]} refused") as progress:
        task = progress.add_task("importing", total=len(todo), refused=0)
        job = functools.partial(write_mesh, folder=folder)
        with closing(run_in_processes(job, todo, workers=workers, limits=lambda piece: LIMITS)) as results:
            for piece, reason in results:
                if reason:
                    refused[piece.id] = str(reason) if isinstance(reason, Failure) else reason
                progress.update(task, advance=1, refused=len(refused))
    return refused


def write_mesh(piece: Piece, folder: Path) -> str:
    """Write one model as a mesh, turned upright; called in a child process.

    Returns:
        Why the model cannot be used; empty if its mesh was written.
    """
    try:
        if Path(piece.member).suffix.lower() != ".obj":
            raise ValueError(f"the model {piece.member!r} is not an OBJ file")
        rotation = np.array(piece.rotation).reshape(3, 3)
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
            raise ValueError("its modelRotation is not a rotation")
        with ZipMembers(Path(piece.archive)) as members, tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.obj"
            write_bytes(path, members.read(piece.member, at_most=MOST_BYTES), flush=False)
            try:
                mesh = _loaded(path)
            except ValueError as error:
                raise_failure_behind(error, path)
                raise ValueError(str(error).removeprefix(f"{path}: ")) from None
        Mesh(mesh.vertices @ rotation.T, mesh.faces).save(folder / f"{piece.id}.ply")
    except ValueError as error:
        raise_failure_behind(error, piece.archive)
        return " ".join(str(error).split())
    return ""


def _loaded(path: Path) -> Mesh:
    """Load a model. If that fails, load it without the faces that have too few corners or cannot be triangulated.

    Raises:
        MeshError: If too many faces would have to be left out, or if there are none to leave out.
    """
    try:
        return load_mesh(path, up="y")
    except MeshError as error:
        polygons = read_obj(path)
        starts = np.cumsum(polygons.sizes) - polygons.sizes
        usable = np.flatnonzero(polygons.sizes >= 3)
        _faces(polygons, starts, usable).check()
        usable = usable[~np.isin(usable, _without_inside(polygons, starts, usable))]
        if not 0 < len(polygons.sizes) - len(usable) <= MOST_LEFT_OUT * len(polygons.sizes):
            raise error
        repaired = path.with_name("repaired.ply")
        Mesh(polygons.vertices, _faces(polygons, starts, usable).triangles()).save(repaired)
        return load_mesh(repaired, up="y")


def _without_inside(polygons: Polygons, starts: NDArray[np.int64], faces: NDArray[np.int64]) -> list[int]:
    """Return the indices of those given faces that cannot be cut into triangles; bisection finds them."""
    try:
        _faces(polygons, starts, faces).triangles()
        return []
    except ValueError:
        if len(faces) == 1:
            return [int(faces[0])]
        half = len(faces) // 2
        return [bad for part in (faces[:half], faces[half:]) for bad in _without_inside(polygons, starts, part)]


def _faces(polygons: Polygons, starts: NDArray[np.int64], faces: NDArray[np.int64]) -> Polygons:
    """Return a polygon mesh that has the same vertices, but only the given faces.

    Args:
        polygons: The polygon mesh to select from.
        starts: For each face of the mesh, the position of its first corner in `polygons.corners`.
        faces: Indices of the faces to keep.
    """
    sizes = polygons.sizes[faces]
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Polygons(polygons.vertices, polygons.corners[np.repeat(starts[faces], sizes) + within], sizes)
