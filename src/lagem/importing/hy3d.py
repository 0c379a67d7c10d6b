"""Imports the watertight meshes of HY3D-Bench as ply files, with a manifest for `lagem prepare`.

The release (github.com/Tencent-Hunyuan/HY3D-Bench) has no labelled points. Its `sample_points` are points on surfaces.
A trained autoencoder can encode them, but training needs labels, so `lagem prepare` makes labelled points from the
meshes. At the part level, the meshes are in `part/meshes/<shard>.tar.gz`. Each such file holds an npz file
`<shard>/<uid>.npz` for each object, and the array `full.ply` of an npz file is the content of a ply file of the whole
object (part-level_data/Part_README.md). At the full level, the meshes are in `full/<split>/water_tight_meshes`, but the
release does not document the type of the files. So two kinds of files are read at both levels: mesh files, and npz
files with the array `full.ply`. Either kind may be in a folder or in a tar file.
"""

import functools
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.geometry.files.loading import MESH_ENDINGS, load_mesh
from lagem.importing.entries import SPLITS
from lagem.progress import long_progress
from lagem.sources.child import Failure, Limits
from lagem.sources.mesh_files import files_below
from lagem.sources.processes import run_in_processes
from lagem.storage.atomic import remove_leftovers, write_bytes
from lagem.storage.checked.npz import NpzFile
from lagem.storage.checked.tar_file import tar_members
from lagem.storage.csv_table import write_csv
from lagem.storage.failures import raise_failure_behind
from lagem.storage.names import check_own_folder, is_plain
from lagem.storage.parts import locked

WHOLE_OBJECT = "full.ply"  # the array with the whole object; each other array, `part_<number>.ply`, holds one part
WITHOUT_MESHES = ("images", "sample_points")  # folders of the release
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
CATEGORY = "hy3d"  # category of all shapes, because the release states none
MOST_BYTES = 2**30  # of one member of a tar file
LIMITS = Limits(seconds=300, memory=8 * 2**30)
LONGEST_SHOWN = 200  # characters of a member's name in refused.csv


@dataclass(frozen=True)
class StoredMesh:
    """A file that should hold the mesh of one object.

    path: path of the file. For a member of a tar file, this is a copy, which is removed after use.
    place: path of the file in the release, for messages. A member's name follows the path of its tar file.
    split: `train`, `val`, `test`, or empty if the release gives none.
    """

    id: str
    path: Path
    place: str
    split: str
    is_copy: bool


@dataclass
class Found:
    """What an import has found so far.

    splits: the split of each mesh that is written, by id.
    refused: the refused files; maps the `place` of each file to the reason.
    """

    splits: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def import_hy3d(source: Path, output: Path, workers: int = 1) -> str:
    """Write the meshes of HY3D-Bench as ply files, and write `manifest.csv` and `refused.csv`.

    Existing meshes are not written again, so a call that was killed can be repeated.

    Args:
        source: A folder of the release, such as `full`, or one tar file. The split of a mesh is the first folder on its
            path that is named `train`, `val` or `test`. `source` itself and the folders in a tar file count, but the
            folders above `source` do not.
        output: The folder to write to.
        workers: Number of child processes.

    Returns:
        A text for the terminal: how many meshes were imported and refused, and what to do next.
    """
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    if not source.exists():
        raise ValueError(f"{source}: there is no such file or folder.")
    meshes = output / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    check_own_folder(meshes)
    with locked(output, "lagem import"):
        remove_leftovers(output)
        remove_leftovers(meshes)
        found = _write_meshes(Path(os.path.abspath(source)), meshes, workers)
        write_csv(output / "refused.csv", ["file", "reason"], sorted(found.refused.items()))
        if not found.splits and not found.refused:
            raise ValueError(
                f"{source}: holds no mesh. The points in sample_points have no labels, so no autoencoder can be "
                "trained on them; give the folder part/meshes, or the folder named full, whose meshes are in "
                "full/<split>/water_tight_meshes."
            )
        if not found.splits:
            raise ValueError(f"no mesh could be read; the reasons are in {output / 'refused.csv'}.")
        rows = [[f"meshes/{id}.ply", id, CATEGORY, split] for id, split in sorted(found.splits.items())]
        write_csv(output / "manifest.csv", ["file", "id", "category", "split"], rows)
    counts = Counter(split or "without a split" for split in found.splits.values())
    return (
        f"{len(found.splits)} meshes are imported ({', '.join(f'{counts[name]} {name}' for name in sorted(counts))}), "
        f"{len(found.refused)} files refused ({output / 'refused.csv'}).\n"
        "The release does not say which axis points up; look at some meshes with `lagem view`. If it is y, prepare "
        f"them with `lagem prepare {output / 'manifest.csv'} --up y --output DATA`."
    )


def _write_meshes(source: Path, meshes: Path, workers: int) -> Found:
    found = Found()
    with tempfile.TemporaryDirectory() as scratch, long_progress("{task.fields[refused]} refused") as progress:
        task = progress.add_task("importing", total=None, refused=0)
        job = functools.partial(write_mesh, folder=meshes)
        todo = stored_meshes(source, meshes, Path(scratch), found)
        with closing(run_in_processes(job, todo, workers=workers, limits=lambda stored: LIMITS)) as results:
            for stored, reason in results:
                if stored.is_copy:
                    stored.path.unlink()
                if reason:
                    found.refused[stored.place] = str(reason) if isinstance(reason, Failure) else reason
                else:
                    found.splits[stored.id] = stored.split
                progress.update(task, advance=1, refused=len(found.refused))
    return found


def stored_meshes(source: Path, meshes: Path, scratch: Path, found: Found) -> Iterator[StoredMesh]:
    """Yield the release's meshes, except those that earlier calls wrote.

    Add the meshes that earlier calls wrote, and the refused files, to `found`.

    A tar file is read from start to end, and each of its meshes is copied to the disk only when it is asked for.

    Args:
        source: Absolute path of a folder of the release, or of one tar file.
        meshes: The folder of the meshes that earlier calls wrote.
        scratch: The folder for copies.
        found: Receives the splits of meshes that are written already, and the reasons for refusing files.
    """
    ids: set[str] = set()

    def is_new(id: str, place: str, split: str) -> bool:
        if not is_plain(id):
            found.refused[place] = "its name cannot be an id"
        elif id in ids:
            found.refused[place] = f"an earlier file has the id {id!r} already"
        elif (meshes / f"{id}.ply").exists():
            found.splits[id] = split
        ids.add(id)
        return place not in found.refused and id not in found.splits

    for path in sorted(files_below(source)) if source.is_dir() else [source]:
        parts = path.relative_to(source.parent).parts
        if not path.name.lower().endswith(TAR_ENDINGS):
            if _is_mesh(parts) and is_new(path.stem, "/".join(parts), _split_of(parts)):
                yield StoredMesh(path.stem, path, "/".join(parts), _split_of(parts), is_copy=False)
            continue
        if set(WITHOUT_MESHES) & set(parts):
            continue
        try:
            for member in tar_members(path):
                inner = (*parts[:-1], *PurePosixPath(member.name).parts)
                if member.kind == "a folder" or not _is_mesh(inner):
                    continue
                id, ending = PurePosixPath(inner[-1]).stem, PurePosixPath(inner[-1]).suffix
                place = f"{'/'.join(parts)}: {_shown(member.name)}"
                if member.kind != "a file":
                    found.refused[place] = f"is {member.kind}, not a file"
                elif member.size > MOST_BYTES:
                    found.refused[place] = f"has {member.size:,} bytes, but at most {MOST_BYTES:,} are read"
                elif is_new(id, place, _split_of(inner)):
                    copy = scratch / f"{len(ids)}{ending}"
                    write_bytes(copy, member.read(at_most=MOST_BYTES), flush=False)
                    yield StoredMesh(id, copy, place, _split_of(inner), is_copy=True)
        except ValueError as error:
            found.refused["/".join(parts)] = str(error).removeprefix(f"{path}: ")


def write_mesh(stored: StoredMesh, folder: Path) -> str:
    """Write the mesh of one object as `<id>.ply`; called in a child process.

    Returns:
        Why the mesh cannot be used; empty if it was written.
    """
    try:
        if stored.path.suffix.lower() != ".npz":
            mesh = load_mesh(stored.path)
        else:
            with NpzFile(stored.path) as file, tempfile.TemporaryDirectory() as scratch:
                content = file.array(WHOLE_OBJECT)
                if content.itemsize != 1:
                    raise ValueError(f"{WHOLE_OBJECT} is {content.dtype}, but must hold the bytes of a ply file")
                path = Path(scratch) / WHOLE_OBJECT
                write_bytes(path, content.tobytes(), flush=False)
                try:
                    mesh = load_mesh(path)
                except ValueError as error:
                    raise_failure_behind(error, path)
                    raise ValueError(f"{WHOLE_OBJECT}: {str(error).removeprefix(f'{path}: ')}") from None
        mesh.save(folder / f"{stored.id}.ply")
    except ValueError as error:
        raise_failure_behind(error, stored.place)
        return " ".join(str(error).removeprefix(f"{stored.path}: ").split())
    return ""


def _is_mesh(parts: tuple[str, ...]) -> bool:
    """Return whether a file of the release may hold a mesh, given the parts of its path."""
    name = PurePosixPath(parts[-1] if parts else "")
    is_read = name.suffix.lower() in (*MESH_ENDINGS, ".npz") and not name.name.startswith(".")
    return is_read and not set(WITHOUT_MESHES) & set(parts)


def _split_of(parts: tuple[str, ...]) -> str:
    return next((part for part in parts[:-1] if part in SPLITS), "")


def _shown(name: str) -> str:
    return (name if name.isprintable() else ascii(name))[:LONGEST_SHOWN]
