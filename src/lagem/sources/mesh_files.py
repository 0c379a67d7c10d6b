"""Which meshes are meant: files, folders and manifests → one (path, id, category, split) a mesh."""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lagem.geometry.mesh import KNOWN_ENDINGS

LONGEST_ID = 200  # bytes; the id is part of a file's name


@dataclass(frozen=True)
class MeshSource:
    """One mesh to prepare."""

    path: str
    id: str
    category: str
    split: str


def find_meshes(sources: Iterable[str | Path], *, val_share: float, category: str | None = None) -> list[MeshSource]:
    """List the meshes of files, folders and manifests, sorted by id.

    A folder is searched with all below it; hidden names and unknown endings are passed over. The id is the path
    below the folder, its '/' written '__', without the ending unless two files differ in nothing else; the category
    is the name of the folder the file is in. A manifest is a .csv with columns `file` (relative to the manifest) and
    `id`, and, where wanted, `category` and `split`.

    Args:
        sources: Paths of mesh files, folders and manifests.
        val_share: Share of the shapes without a stated split that becomes `val`, the others `train`.
        category: Category of all, instead of the above.

    Returns:
        The meshes; ValueError where a source is absent or two meshes share an id.
    """
    found: dict[str, MeshSource] = {}
    for source in map(Path, sources):
        if source.is_dir():
            listed = in_folder(source)
        elif not source.exists():
            raise ValueError(f"{source}: there is no such file or folder.")
        elif source.suffix.lower() == ".csv":
            listed = in_manifest(source)
        else:
            listed = iter([(source, source.stem, "", "")])
        for path, id, own_category, split in listed:
            mesh = MeshSource(
                path=os.path.abspath(path),
                id=checked_id(id, path),
                category=category or own_category or Path(os.path.abspath(path)).parent.name,
                split=split or ("val" if hash_share(id) < val_share else "train"),
            )
            other = found.setdefault(id, mesh)
            if other.path != mesh.path:
                raise ValueError(
                    f"two meshes have the id {id!r}: {other.path} and {mesh.path}. "
                    "Give them ids of their own in a manifest (a .csv with columns file and id)."
                )
    if not found:
        raise ValueError(f"no mesh found; known endings are {', '.join(sorted(KNOWN_ENDINGS))}.")
    return [found[id] for id in sorted(found)]


def in_folder(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Meshes of a folder and all below it, with their ids."""
    paths: list[Path] = []
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        paths += [Path(place, name) for name in names if not name.startswith(".")]
    meshes = [path for path in paths if path.suffix.lower() in KNOWN_ENDINGS]
    count = Counter(path.with_suffix("") for path in meshes)
    for path in meshes:
        named = path.with_suffix("") if count[path.with_suffix("")] == 1 else path
        yield path, "__".join(named.relative_to(folder).parts), "", ""


def in_manifest(manifest: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Meshes of a manifest, with what its columns say."""
    with manifest.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := {"file", "id"} - set(rows.fieldnames or ()):
            raise ValueError(f"{manifest}: a manifest needs the columns file and id; missing: {', '.join(missing)}.")
        for line, row in enumerate(rows, 2):
            if not row["file"] or not row["id"]:
                raise ValueError(f"{manifest}: line {line} has no file or no id.")
            yield manifest.parent / row["file"], row["id"], row.get("category") or "", row.get("split") or ""


def checked_id(id: str, path: Path) -> str:
    """The id, if it can name a file; else a ValueError."""
    if "/" in id or "\\" in id or id.startswith(".") or not id.isprintable() or len(id.encode()) > LONGEST_ID:
        raise ValueError(
            f"{path}: {id!r} cannot be an id: no slashes, no leading dot, printable characters only, "
            f"at most {LONGEST_ID} bytes. Give an id in a manifest (a .csv with columns file and id)."
        )
    return id


def hash_share(id: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big") / 2**64
