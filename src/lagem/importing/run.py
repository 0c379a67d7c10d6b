"""Makes a prepared folder from data that others prepared. A repeated call keeps what earlier calls imported."""

import functools
from collections.abc import Iterable
from pathlib import Path

from lagem.importing.entries import captions, lagem_entries, npz_entries, vecset_entries
from lagem.importing.layout import PUBLISHED, YAML_ENDINGS, Layout
from lagem.importing.raw_shape import RawShape, read_npz_shape, read_vecset_shape
from lagem.importing.settings import ImportSettings
from lagem.importing.shape import convert_shape
from lagem.preparation.pipeline import MEMORY_LIMIT, TIME_LIMIT, fill_folder, store_one
from lagem.prepared.records import Measures, Record
from lagem.prepared.shard_file import ShapeArrays
from lagem.sources.mesh_files import MeshSource
from lagem.storage.csv_table import write_csv
from lagem.storage.parts import Part


def import_data(
    layout: str,
    source: str | Path,
    output: str | Path,
    settings: ImportSettings | None = None,
    workers: int = 1,
    *,
    retry_refused: bool = False,
    part: Part | None = None,
    verify: bool = False,
) -> list[Record]:
    """Import the shapes of a folder that others prepared.

    The same source and settings give the same shards and index. It does not matter how many workers there are, or
    whether calls were killed and repeated.

    Args:
        layout: `vecset`, `lagem`, or the path of a YAML file that describes npz files.
        source: The folder. For a YAML layout, a manifest (.csv) can be given instead.
        output: The prepared folder; created if missing.
        settings: The settings; None for the defaults. All calls for one prepared folder must give the same settings.
        workers: Number of child processes.
        retry_refused: Retry shapes that an earlier call refused.
        part: Import only this part of the shapes, and do not pack shards; None to import all missing shapes, and pack
            shards.
        verify: Verify every byte of the folder. Otherwise, only the description and the small arrays of each shard are
            verified.

    Returns:
        One record of each shape of the source, or of the part, sorted by id.
    """
    settings = settings or ImportSettings()
    source, root = Path(source), Path(output)
    name, described = layout_of(layout)
    entries = unique(entries_of(name, source, settings.val_share), source)
    records = fill_folder(
        entries,
        root,
        functools.partial(import_one, root=root, name=name, layout=described, settings=settings),
        settings=settings.stored(name, described),
        workers=workers,
        retry_refused=retry_refused,
        time_limit=TIME_LIMIT,
        memory_limit=MEMORY_LIMIT,
        part=part,
        verify=verify,
    )
    if name == "lagem" and part is None:
        done = {record.id for record in records if record.status == "prepared"}
        write_csv(
            root / "captions.csv", ["id", "caption"], sorted(pair for pair in captions(source) if pair[0] in done)
        )
    return records


def layout_of(text: str) -> tuple[str, Layout]:
    """Return the name of a layout and the layout itself.

    Args:
        text: `vecset`, `lagem`, or the path of a YAML file. A layout that a file describes has the name `npz`.

    Raises:
        ValueError: If there is no such layout, or the file does not describe one.
    """
    if text in PUBLISHED:
        return text, PUBLISHED[text]
    if Path(text).suffix.lower() not in YAML_ENDINGS:
        known = ", ".join(PUBLISHED)
        raise ValueError(
            f"{text}: there is no such layout; use {known}, hy3d, sweethome3d, or a file that ends in .yaml."
        )
    return "npz", Layout.read(Path(text))


def entries_of(name: str, source: Path, val_share: float) -> Iterable[MeshSource]:
    """List the shapes in a folder or file; `name` is the name of its layout."""
    if not source.exists():
        raise ValueError(f"{source}: there is no such file or folder.")
    if name == "npz":
        return npz_entries(source, val_share)
    return vecset_entries(source) if name == "vecset" else lagem_entries(source)


def unique(entries: Iterable[MeshSource], source: Path) -> list[MeshSource]:
    """Return entries sorted by id; raises ValueError if there is none, or an id occurs twice."""
    found: dict[str, MeshSource] = {}
    for entry in entries:
        other = found.setdefault(entry.id, entry)
        if other is not entry:
            raise ValueError(
                f"{source}: lists {entry.id!r} twice, as {other.split} ({other.path}) and {entry.split} "
                f"({entry.path}); remove one of them."
            )
    if not found:
        raise ValueError(f"{source}: holds no shape; check the path and the layout.")
    return [found[id] for id in sorted(found)]


def import_one(entry: MeshSource, root: Path, name: str, layout: Layout, settings: ImportSettings) -> Record:
    """Import one shape: write it unless it is refused, then write and return its record.

    This function is called in a child process.
    """

    def made(entry: MeshSource) -> tuple[ShapeArrays, Measures]:
        return convert_shape(entry, raw_shape(entry, name, layout), layout, settings)

    return store_one(entry, root, made)


def raw_shape(entry: MeshSource, name: str, layout: Layout) -> RawShape:
    """Read a shape from its source files; `name` is the name of their layout."""
    try:
        return (read_vecset_shape if name == "vecset" else read_npz_shape)(Path(entry.path), layout)
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {error.filename}") from None
