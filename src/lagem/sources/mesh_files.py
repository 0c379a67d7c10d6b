"""Finds meshes in files, folders and manifests, with their ids, categories and splits."""

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lagem.geometry.files.loading import MESH_ENDINGS
from lagem.sources.manifest import read_manifest
from lagem.storage.names import LONGEST, is_plain


@dataclass(frozen=True, slots=True)
class MeshSource:
    """A mesh file with the id, the category and the split of its shape."""

    path: str
    id: str
    category: str
    split: str


def find_meshes(sources: Iterable[str | Path], *, val_share: float, category: str | None = None) -> list[MeshSource]:
    """List the meshes of files, folders and manifests, sorted by id.

    Folders are searched recursively, including linked folders. Hidden files, hidden folders and files with an unknown
    extension are skipped. The id of a mesh in a folder is its path inside the folder, with '/' written as '__'. It
    contains the extension only if two paths differ only in the extension. The category of the mesh is the name of the
    folder that holds the file. A manifest is a .csv file with the columns `file` (a path relative to the manifest) and
    `id`, and optionally `category` and `split`; see `read_manifest`.

    Args:
        sources: Paths of mesh files, folders and manifests.
        val_share: Of the shapes without a given split, the fraction that become `val`; the others become `train`.
        category: Category of all meshes; None to take it from the manifest or from the folder.

    Returns:
        The meshes.

    Raises:
        ValueError: If a source is missing, none of the sources holds a mesh, an id is invalid, or two meshes have the
            same id.
    """
    found: dict[str, MeshSource] = {}
    for source in map(Path, sources):
        if source.is_dir():
            listed = in_folder(source)
        elif not source.exists():
            raise ValueError(f"{source}: there is no such file or folder; give a mesh, a folder or a manifest (.csv).")
        elif source.suffix.lower() == ".csv":
            listed = in_manifest(source)
        else:
            listed = iter([(source, source.stem, "", "")])
        for path, id, own_category, split in listed:
            mesh = source_of(path, id=id, category=category or own_category, split=split, val_share=val_share)
            other = found.setdefault(id, mesh)
            if other.path != mesh.path:
                raise ValueError(
                    f"two meshes have the id {id!r}: {other.path} and {mesh.path}. "
                    "Give them different ids in a manifest (a .csv with columns file and id)."
                )
    if not found:
        raise ValueError(
            "no mesh found in the given folders and manifests; give files that end in "
            f"{', '.join(sorted(MESH_ENDINGS))}."
        )
    return [found[id] for id in sorted(found)]


def source_of(path: str | Path, *, id: str, category: str, split: str, val_share: float) -> MeshSource:
    """Return the MeshSource of a file; raises ValueError if the id cannot be used in a file name.

    Args:
        path: The file.
        id: Its id.
        category: Its category. If it is empty, the name of the folder that holds the file is used.
        split: Its split. If it is empty, the split is chosen by the id.
        val_share: Of the shapes without a given split, the fraction that become `val`; the others become `train`.
    """
    absolute = os.path.abspath(path)
    return MeshSource(
        path=absolute,
        id=checked_new_id(id, path),
        category=sys.intern(category or os.path.basename(os.path.dirname(absolute))),
        split=sys.intern(split or ("val" if hash_fraction(id) < val_share else "train")),
    )


def in_folder(folder: Path) -> Iterator[tuple[str | Path, str, str, str]]:
    """Yield (path, id, "", "") for each mesh of a folder and its subfolders; category and split are not given."""
    meshes = [path for path in files_below(folder) if path.suffix.lower() in MESH_ENDINGS]
    count = Counter(path.with_suffix("") for path in meshes)
    for path in meshes:
        named = path.with_suffix("") if count[path.with_suffix("")] == 1 else path
        yield path, "__".join(named.relative_to(folder).parts), "", ""


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders, including linked folders, and read each folder only once.

    Hidden files and folders are skipped. A link to a folder is skipped, and a message printed, if its target was
    already read or contains `folder`. Without this rule, files would occur twice, or the search would never end.
    """
    top = folder.resolve()
    read: set[Path] = set()
    roots, number = [folder], 0
    while number < len(roots):
        root, number = roots[number], number + 1
        target = root.resolve()
        if root != folder and (top.is_relative_to(target) or target in read):
            print(
                f"{root}: a link to {target}, which is already read or contains {folder}; the link is skipped.",
                flush=True,
            )
            continue
        for parent, below, names in os.walk(root):
            real = target / Path(parent).relative_to(root)
            if real in read:
                below.clear()
                continue
            read.add(real)
            below[:] = sorted(name for name in below if not name.startswith("."))
            roots += [Path(parent, name) for name in below if os.path.islink(os.path.join(parent, name))]
            yield from (Path(parent, name) for name in names if not name.startswith("."))


def in_manifest(manifest: Path) -> Iterator[tuple[str | Path, str, str, str]]:
    """Yield (path, id, category, split) for each row of a manifest; category and split are empty if not given."""
    for line, row in read_manifest(manifest):
        if not row["file"] or not row["id"]:
            raise ValueError(f"{manifest}: line {line} lacks the file or the id; complete the line, or remove it.")
        yield os.path.join(manifest.parent, row["file"]), row["id"], row.get("category", ""), row.get("split", "")


def checked_new_id(id: str, path: str | Path) -> str:
    """Return `id` unchanged; raises ValueError if it cannot be used in a file name."""
    if not is_plain(id):
        raise ValueError(
            f"{path}: {id!r} cannot be an id. An id must have only printable characters, no slash or backslash, "
            f"no leading dot and at most {LONGEST} bytes. Give an id in a manifest (a .csv with columns file and id)."
        )
    return id


def hash_fraction(id: str) -> float:
    """Return a number in [0, 1) that depends only on the id."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big") / 2**64
