"""Functions that find out whether a DATA argument names a prepared folder, procedural shapes or meshes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.sources.surfaces import MeshSurfaces, PreparedSurfaces, SurfaceSource

DataKind = Literal["prepared", "procedural", "meshes"]
IN_WORDS: dict[DataKind, str] = {
    "prepared": "a folder of `lagem prepare`",
    "procedural": "procedural:TRAIN+VAL, such as procedural:1024+64",
    "meshes": "meshes (a file, a folder or a manifest)",
}


def data_kind(data: str | Path, *, accepted: Sequence[DataKind]) -> DataKind:
    """Return the kind of data that a DATA argument names.

    Args:
        data: The argument as the user gives it: `procedural:TRAIN+VAL`, a path, or the URL of a prepared folder.
        accepted: Kinds that the caller can use.

    Raises:
        ValueError: If `data` names nothing that exists, or data of a kind that is not accepted. The message lists the
            accepted kinds.
    """
    text = str(data)
    kind: DataKind | None = None
    if text.startswith("procedural:"):
        kind, problem = "procedural", "procedural shapes cannot be used here"
    elif "://" in text or (Path(data) / "format.json").exists():
        kind, problem = "prepared", "a prepared folder cannot be used here"
    elif Path(data).exists():
        kind, problem = "meshes", "has no format.json, so `lagem prepare` did not write it"
    else:
        problem = "there is no such file or folder"
    if kind is None or kind not in accepted:
        raise ValueError(f"{data}: {problem}; give {', or '.join(IN_WORDS[kind] for kind in accepted)}.")
    return kind


def resolve_data(data: str | Path, *, seed: int, accepted: Sequence[DataKind] = tuple(IN_WORDS)) -> SurfaceSource:
    """Return the shapes that a DATA argument names, as a source of surface points.

    Args:
        data: As for `data_kind`.
        seed: Seed of procedural shapes.
        accepted: Kinds that the caller can use.
    """
    kind = data_kind(data, accepted=accepted)
    if kind == "procedural":
        return ProceduralSurfaces.of(str(data), seed=seed)
    return PreparedSurfaces(data) if kind == "prepared" else MeshSurfaces(Path(data))
