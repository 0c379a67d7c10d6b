"""Preparation of meshes into a folder, first as one file per shape, then as shards.

If the process is killed, only the work on the meshes in progress is lost.
"""

import functools
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lagem.configuration.bounds import MOST_WORKERS, check_bounds
from lagem.preparation.damage import remove_damaged
from lagem.preparation.identity import check_unchanged, possible_ids, wanted, with_recorded_ids
from lagem.preparation.packing import locate, pack
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.preparation.solid import require_manifold
from lagem.prepared.records import Measures, Record, mixed_axes, read_records, write_record
from lagem.prepared.shard_file import OCCUPANCY, ShapeArrays, write_shard
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
    """Prepare meshes into a folder and pack it; what an earlier call finished is kept, even if that call was killed.

    The same meshes and settings give the same shards and index. It does not matter how many workers there are, or
    whether the meshes are given in one call or in several.

    Args:
        sources: Mesh files, folders and manifests, as `find_meshes` takes them.
        output: The prepared folder; created if missing.
        settings: The settings, which are fixed for a folder.
        workers: Number of child processes.
        category: Category of all meshes; None to take it from the manifests or folders.
        retry_refused: Retry meshes that an earlier call refused.
        time_limit: Time in seconds after which a mesh is refused.
        memory_limit: Maximum memory for one mesh in GiB, in addition to 40 bytes for each byte of its file. A mesh that
            needs more is refused. The memory is measured on Linux only.
        part: Prepare only this part of the meshes, and do not pack; parts may run in parallel on several machines. None
            to prepare all meshes that are missing, and pack.
        verify: Verify every byte of the folder. Otherwise, only the description and the small arrays of each shard are
            verified. Damaged shards are made anew. With `part`, shards are neither verified nor made anew.

    Returns:
        The records of these meshes, sorted by id. They include records that earlier calls wrote.
    """
    if settings.watertight == "manifold":
        require_manifold()
    meshes = find_meshes(sources, val_share=settings.val_share, category=category)
    if settings.up is None and (warning := mixed_axes(mesh.path for mesh in meshes)):
        print(warning, flush=True)
    return fill_folder(
        meshes,
        Path(output),
        functools.partial(prepare_one, root=Path(output), settings=settings),
        settings=asdict(settings),
        workers=workers,
        retry_refused=retry_refused,
        time_limit=time_limit,
        memory_limit=memory_limit,
        part=part,
        verify=verify,
    )


def fill_folder(
    meshes: list[MeshSource],
    root: Path,
    job: Callable[[MeshSource], Record],
    *,
    settings: Mapping[str, Any],
    workers: int,
    retry_refused: bool,
    time_limit: float,
    memory_limit: float,
    part: Part | None,
    verify: bool,
) -> list[Record]:
    """Do a job for each mesh that a folder does not have yet, and pack the folder; see `prepare`.

    Args:
        meshes: The meshes, or other files with one shape each.
        root: The prepared folder; created if missing.
        job: Function that prepares one mesh, called in child processes. It writes the shape, then writes and returns
            the record. If the mesh is refused, it writes only the record.
        settings: The settings that format.json stores.
        workers, retry_refused, time_limit, memory_limit, part, verify: As in `prepare`.
    """
    check_bounds("--workers", workers, least=1, most=MOST_WORKERS)
    if time_limit <= 0:
        raise ValueError(f"--time-limit is {time_limit}, but must be positive.")
    if memory_limit <= 0:
        raise ValueError(f"--memory-limit is {memory_limit}, but must be positive.")
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
        del records, there  # the records stay on the disk until the end, so memory does not grow from mesh to mesh
        kept = f"{{}} of {len(meshes)} meshes are prepared or refused, and kept; the same command resumes."
        with kept_on_stop(lambda: kept.format(len(meshes) - len(left))):
            with closing(prepare_each(todo, root, job, workers, time_limit, memory_limit)) as results:
                for record in results:
                    left.discard(record.id)
            records = pack(root) if part is None else read_records(root, own)
    return [records[mesh.id] for mesh in meshes]


def preparation_status(sources: Iterable[str | Path], output: str | Path) -> str:
    """Return a line on how many meshes are prepared, refused and missing, according to the records in the folder.

    It can be called while a preparation is running, without disturbing it.
    """
    root = Path(output)
    OCCUPANCY.read(LocalFolder(root))  # before the meshes, since a long manifest takes a while to read
    meshes = find_meshes(sources, val_share=0)
    records = read_records(root)
    recorded = Counter(records[mesh.id].status for mesh in with_recorded_ids(meshes, records) if mesh.id in records)
    done, refused = recorded["prepared"], recorded["refused"]
    return status_line("meshes", total=len(meshes), done=done, refused=refused)


def prepare_each(
    todo: list[MeshSource],
    root: Path,
    job: Callable[[MeshSource], Record],
    workers: int,
    time_limit: float,
    memory_limit: float,
) -> Generator[Record, None, None]:
    """Prepare meshes in child processes, show a progress bar, and yield each record once it is written."""
    if not todo:
        return

    def limits(mesh: MeshSource) -> Limits:
        return Limits(seconds=time_limit, memory=memory_limit * 2**30 + MEMORY_PER_BYTE * size_of(mesh.path))

    with long_progress("{task.fields[refused]} refused") as progress:
        task = progress.add_task("preparing", total=len(todo), refused=0)
        refused = 0
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
    """Prepare one mesh, and write and return its record; called in a child process.

    The shape is written before the record. If the mesh is refused, only the record is written.
    """
    return store_one(mesh, root, lambda mesh: prepare_shape(mesh.path, mesh.id, mesh.category, mesh.split, settings))


def store_one(mesh: MeshSource, root: Path, made: Callable[[MeshSource], tuple[ShapeArrays, Measures]]) -> Record:
    """Make the shape of a mesh, write it, and then write and return the record of the mesh.

    Neither file is flushed to the disk: four flushes would take longer than a small shape. Packing flushes the shards.

    Args:
        mesh: The mesh.
        root: The prepared folder.
        made: Makes the shape and its measurements. If it raises an error that is due to the mesh, no shape is written,
            and the record says that the mesh was refused, and why.
    """
    start, reason, measures = time.monotonic(), "", None
    try:
        shape, measures = made(mesh)
    except ImportError as error:  # a problem of the installation, not of the mesh
        raise ValueError(str(error)) from error
    except MemoryError:  # the memory limit was reached; the parent process reports it
        raise
    except Exception as error:  # whatever is wrong with one file, the others are still prepared
        raise_failure_behind(error, mesh.path)
        name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = " ".join(f"{name}{error}".removeprefix(f"{mesh.path}: ").split()) or "ValueError"
    else:
        write_shard(root / "shapes" / f"{mesh.id}.safetensors", [shape], flush=False)
    record = record_of(mesh, reason=reason, measures=measures, seconds=time.monotonic() - start)
    write_record(root, record)
    return record


def start_folder(root: Path, settings: Mapping[str, Any]) -> None:
    """Create a folder with its format.json, or check that an existing one was prepared with the same settings."""
    OCCUPANCY.begin(root, settings=settings, optional=["up"])
    for folder in (root / "shapes", root / "shards"):
        check_own_folder(folder)
        folder.mkdir(exist_ok=True)


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
