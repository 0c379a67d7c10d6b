"""Preparation of meshes into a folder, first as one file per shape, then as shards.

If it is killed, only the work on the meshes in progress is lost.
"""

import functools
import os
import time
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.preparation.damage import remove_damaged
from lagem.preparation.packing import locate, pack
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.preparation.solid import require_manifold
from lagem.prepared.records import Measures, Record, read_records, write_record
from lagem.prepared.shard_file import OCCUPANCY, write_shard
from lagem.prepared.shards import unread_splits
from lagem.progress import long_progress
from lagem.signals import kept_on_stop
from lagem.sources.child import Failure, Limits, NeededTooMuchMemory, TookTooLong
from lagem.sources.mesh_files import MeshSource, find_meshes
from lagem.sources.processes import run_in_processes
from lagem.sources.reading import MEMORY_PER_BYTE, size_of
from lagem.storage.failures import raise_failure_behind
from lagem.storage.names import check_own_folder
from lagem.storage.parts import Part, locked, status_line
from lagem.storage.stored_folder import LocalFolder

TIME_LIMIT = 600.0  # seconds per mesh
MEMORY_LIMIT = 4.0  # GiB per mesh, in addition to an allowance for the size of its file
LONGEST_REASON = 500  # characters; a parser may quote a whole line of a file


def prepare(
    sources: Iterable[str | Path],
    output: str | Path,
    settings: Settings,
    workers: int = 1,
    *,
    category: str | None = None,
    retry_refused: bool = False,
    time_limit: float = TIME_LIMIT,
    memory_limit: float = MEMORY_LIMIT,
    part: Part | None = None,
    verify: bool = False,
) -> list[Record]:
    """Prepare meshes into a folder and pack it, resuming an earlier call that ended or was killed.

    The same meshes and settings give the same shards and index. It does not matter how many workers there are, or
    whether the meshes are given in one call or in several.

    Args:
        sources: Mesh files, folders and manifests, as `find_meshes` takes them.
        output: The prepared folder; created if missing.
        settings: The settings, which are fixed for a folder.
        workers: Number of child processes.
        category: Category of all meshes, instead of those that the manifests or folders give.
        retry_refused: Retry meshes that an earlier call refused.
        time_limit: Time in seconds after which a mesh is refused.
        memory_limit: Memory in GiB beyond which a mesh is refused; 40 bytes are added for each byte of the mesh's file.
            The memory is measured on Linux only.
        part: Prepare only this part of the meshes, and do not pack; parts may run in parallel on several machines. None
            to prepare all meshes that are missing, and pack.
        verify: Verify every byte of the folder. Otherwise, only what is read when a shard is opened is verified.
            Damaged shards are made anew by a call without `part`.

    Returns:
        The records of these meshes, sorted by id. They include records that earlier calls wrote.
    """
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    if time_limit <= 0:
        raise ValueError(f"--time-limit is {time_limit}, but must be positive.")
    if memory_limit <= 0:
        raise ValueError(f"--memory-limit is {memory_limit}, but must be positive.")
    if settings.watertight == "manifold":
        require_manifold()
    root = Path(output)
    meshes = find_meshes(sources, val_share=settings.val_share, category=category)
    start_folder(root, settings)
    if warning := unread_splits(mesh.split for mesh in meshes):
        print(warning, flush=True)
    own = None
    if part is not None:
        meshes = list(part.items_of(meshes))
        own = possible_ids(meshes)
    with locked(root, OCCUPANCY.command, part):
        records = read_records(root, own)
        meshes = with_recorded_ids(meshes, records)
        if part is None:
            remove_damaged(root, {mesh.id for mesh in meshes}, every_byte=verify)
        there = locate(root, records, own)
        for mesh in meshes:
            if mesh.id in there:
                if mesh.id not in records:  # table.csv was lost
                    records[mesh.id] = record_of(mesh)
                    write_record(root, records[mesh.id])
                check_unchanged(mesh, records[mesh.id])
        todo = [mesh for mesh in meshes if wanted(mesh, records.get(mesh.id), mesh.id in there, retry_refused)]
        left = {mesh.id for mesh in todo}
        kept = f"{{}} of {len(meshes)} meshes are prepared or refused, and kept; the same command resumes."
        with kept_on_stop(lambda: kept.format(len(meshes) - len(left))):
            with closing(prepare_each(todo, root, settings, workers, time_limit, memory_limit)) as results:
                for record in results:
                    records[record.id] = record
                    left.discard(record.id)
            if part is None:
                pack(root)
    return [records[mesh.id] for mesh in meshes]


def preparation_status(sources: Iterable[str | Path], output: str | Path) -> str:
    """Return a line on how many meshes are prepared, refused and missing, according to the records in the folder.

    It can be called while a preparation is running, without disturbing it.
    """
    meshes, root = find_meshes(sources, val_share=0), Path(output)
    OCCUPANCY.read(LocalFolder(root))
    records = read_records(root)
    recorded = Counter(records[mesh.id].status for mesh in with_recorded_ids(meshes, records) if mesh.id in records)
    done, refused = recorded["prepared"], recorded["refused"]
    return status_line("meshes", total=len(meshes), done=done, refused=refused)


def prepare_each(
    todo: list[MeshSource], root: Path, settings: Settings, workers: int, time_limit: float, memory_limit: float
) -> Generator[Record, None, None]:
    """Prepare meshes in child processes, show a progress bar, and yield each record once it is on the disk."""
    if not todo:
        return

    def limits(mesh: MeshSource) -> Limits:
        return Limits(seconds=time_limit, memory=memory_limit * 2**30 + MEMORY_PER_BYTE * size_of(mesh.path))

    with long_progress("{task.fields[refused]} refused") as progress:
        task = progress.add_task("preparing", total=len(todo), refused=0)
        refused = 0
        job = functools.partial(prepare_one, root=root, settings=settings)
        results = run_in_processes(job, todo, workers=min(workers, len(todo)), limits=limits)
        with closing(results):  # closing ends the child processes
            for mesh, result in results:
                if isinstance(result, Failure):
                    seconds = time_limit if isinstance(result, TookTooLong) else 0.0
                    result = record_of(mesh, reason=reason_of(result), seconds=seconds)
                    write_record(root, result)
                refused += result.status == "refused"
                progress.update(task, advance=1, refused=refused)
                yield result


def reason_of(failure: Failure) -> str:
    """Return the reason why a mesh was given up; for an exceeded limit, it names the option that raises the limit."""
    if isinstance(failure, TookTooLong):
        return f"{failure}; simplify the mesh, or use --retry-refused with a larger --time-limit"
    if isinstance(failure, NeededTooMuchMemory):
        return f"{failure}; simplify the mesh, or use --retry-refused with a larger --memory-limit"
    return str(failure)


def prepare_one(mesh: MeshSource, root: Path, settings: Settings) -> Record:
    """Prepare one mesh; called in a child process. Write its shape, unless the mesh is refused, and then its record."""
    start, reason, measures = time.monotonic(), "", None
    try:
        shape, measures = prepare_shape(mesh.path, mesh.id, mesh.category, mesh.split, settings)
    except ImportError as error:  # a problem of the installation, not of the mesh
        raise ValueError(str(error)) from error
    except MemoryError:  # the memory limit was reached; the parent process reports it
        raise
    except Exception as error:  # whatever is wrong with one file, the others are still prepared
        raise_failure_behind(error, mesh.path)
        name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = " ".join(f"{name}{error}".removeprefix(f"{mesh.path}: ").split()) or "ValueError"
    else:
        write_shard(root / "shapes" / f"{mesh.id}.safetensors", [shape])
    record = record_of(mesh, reason=reason, measures=measures, seconds=time.monotonic() - start)
    write_record(root, record)
    return record


def start_folder(root: Path, settings: Settings) -> None:
    """Create a folder with its format.json, or check that an existing one was prepared with the same settings."""
    OCCUPANCY.begin(root, settings=asdict(settings), optional=["up"])
    for folder in (root / "shapes", root / "shards"):
        check_own_folder(folder)
        folder.mkdir(exist_ok=True)


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
    """Return the meshes sorted by id; a mesh whose file has a record gets the id that was recorded.

    The recorded id may differ, because an id contains the extension of its file only if another file has the same path
    with a different extension, and such a file may be added or removed between two calls. A manifest may give a file
    several ids.

    Raises:
        ValueError: If a file was recorded under an id that it no longer has; its shape would be stored twice.
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


def record_of(mesh: MeshSource, *, reason: str = "", measures: Measures | None = None, seconds: float = 0.0) -> Record:
    """Return the record of a mesh, with the status `refused` if a reason is given, else `prepared`."""
    return Record(
        id=mesh.id,
        category=mesh.category,
        split=mesh.split,
        source=mesh.path,
        status="refused" if reason else "prepared",
        reason=reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…",
        measures=measures,
        seconds=seconds,
    )
