"""Matches meshes to the records that earlier calls of `lagem prepare` wrote into the folder.

In a prepared folder, an id belongs to the same mesh in all calls.
"""

import os
from dataclasses import replace
from pathlib import Path

from lagem.prepared.records import Record
from lagem.sources.mesh_files import MeshSource


def wanted(mesh: MeshSource, record: Record | None, there: bool, retry_refused: bool) -> bool:
    """Return whether a mesh has yet to be prepared.

    Args:
        mesh: The mesh.
        record: Its record; None if there is none.
        there: Whether the folder holds the prepared shape.
        retry_refused: Retry a mesh that was refused.
    """
    if record is None:
        return True
    if record.status == "refused":
        return retry_refused or record.source != mesh.path
    return not there


def check_unchanged(mesh: MeshSource, record: Record) -> None:
    """Raise ValueError if a prepared id names another mesh than before, or has another category or split."""
    moved = os.path.exists(mesh.path) and not os.path.exists(record.source)
    if mesh.path != record.source and not moved and not same_file(mesh.path, record.source):
        raise ValueError(
            f"id {mesh.id!r} was prepared from {record.source}, but now names {mesh.path}; "
            "give different ids in a manifest (a .csv with columns file and id), or another --output."
        )
    if (mesh.category, mesh.split) != (record.category, record.split):
        raise ValueError(
            f"{mesh.id!r} was prepared as category {record.category!r}, split {record.split!r}, but now has category "
            f"{mesh.category!r}, split {mesh.split!r}; give another --output."
        )


def with_recorded_ids(meshes: list[MeshSource], records: dict[str, Record]) -> list[MeshSource]:
    """Return the meshes sorted by id, each with the id that an earlier call recorded for it, if there is one.

    The id of a mesh may differ from its recorded id by the extension of its file. An id contains the extension only if
    another file has the same path with a different extension, and such a file may be added or removed between two
    calls. A manifest may give a file several ids.

    Raises:
        ValueError: If a recorded id of a file differs, in more than the extension, from every id that the file has now.
            The shape would be stored twice.
    """
    recorded: dict[str, list[str]] = {}
    for record in records.values():
        recorded.setdefault(record.source, []).append(record.id)
    listed: dict[str, set[str]] = {}
    for mesh in meshes:
        listed.setdefault(mesh.path, set()).add(without_ending(mesh.id, mesh.path))
    found = []
    for mesh in meshes:
        known = recorded.get(mesh.path, [])
        if gone := [id for id in known if without_ending(id, mesh.path) not in listed[mesh.path]]:
            raise ValueError(
                f"{mesh.path}: has the id {mesh.id!r}, but was prepared as {gone[0]!r}; give it the earlier id in a "
                "manifest (a .csv with columns file and id), or give another --output."
            )
        own = without_ending(mesh.id, mesh.path)
        same = [id for id in known if without_ending(id, mesh.path) == own]
        found.append(mesh if mesh.id in same or not same else replace(mesh, id=same[0]))
    return sorted(found, key=lambda mesh: mesh.id)


def without_ending(id: str, path: str) -> str:
    """Return an id without the extension of its file."""
    return id.removesuffix(os.path.splitext(path)[1])


def possible_ids(meshes: list[MeshSource]) -> set[str]:
    """Return all ids under which these meshes may be recorded, both with and without the extension of the file."""
    found = set()
    for mesh in meshes:
        ending = Path(mesh.path).suffix
        plain = mesh.id.removesuffix(ending)
        found |= {mesh.id, plain, f"{plain}{ending}"}
    return found


def same_file(one: str, other: str) -> bool:
    """Return whether two paths lead to the same existing file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)
