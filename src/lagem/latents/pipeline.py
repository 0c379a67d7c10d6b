"""Encode shapes into a latent cache, shard by shard. If the process is killed, only the shard in progress is lost.

The shapes are sorted by id and cut into groups of neighbours; each group becomes a shard. A shard is named by its
number and a hash of its ids, and is done once its file exists. The group alone determines which clouds are encoded
together, so a resumed encoding writes the same bytes as an uninterrupted one. The autoencoder is stored with the
latents. index.csv names the valid shards and is written last.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, fields
from functools import partial
from pathlib import Path
from typing import Any

from lagem.latents.encoding import EncodeSettings, encode_run
from lagem.latents.latent_shard import LATENTS, LatentShard, RefusedShape, write_latent_shard
from lagem.models.autoencoder import Autoencoder
from lagem.progress import long_progress
from lagem.signals import kept_on_stop
from lagem.sources.augmentation import Augmentation
from lagem.sources.surfaces import SurfaceSource
from lagem.storage.atomic import remove_leftovers
from lagem.storage.csv_table import read_csv, write_csv
from lagem.storage.names import check_own_folder, inside
from lagem.storage.parts import Part, locked, status_line
from lagem.storage.sharded_folder import damage_of, shard_name
from lagem.storage.stored_folder import LocalFolder
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import check_fingerprint, fingerprint_of
from lagem.weights.named import OF_LATENTS

SHAPES_PER_SHARD = 64
COLUMNS = ["id", "category", "split", "shard", "row"]


def encode(
    autoencoder: Autoencoder,
    surfaces: SurfaceSource,
    output: str | Path,
    settings: EncodeSettings,
    *,
    augment: Augmentation | None = None,
    retry_refused: bool = False,
    part: Part | None = None,
    verify: bool = False,
) -> list[RefusedShape]:
    """Encode shapes into a folder. A repeated call keeps the shards that earlier calls finished.

    Args:
        autoencoder: The network, on the device to use.
        surfaces: The shapes.
        output: The folder.
        settings: The settings.
        augment: Random transformation of the clouds that are sampled from each shape. The first cloud of a shape is not
            transformed. None for no augmentation.
        retry_refused: Encode a shard again if an earlier call refused one of its shapes.
        part: Encode only this part of the shards, and write no index; parts may run in parallel on several machines.
            None to encode all shards that are missing, and write the index.
        verify: Verify every byte of the shards that exist. Otherwise, only the description and the small arrays of
            each shard are verified. Damaged shards are encoded again.

    Returns:
        The refused shapes of the part, or of all shards.
    """
    root = Path(output)
    planned = plan(root, surfaces, settings.splits, settings.ids)
    begin(root, autoencoder, surfaces, settings, augment)
    with locked(root, LATENTS.command, part):
        shards = root / "shards"
        check_own_folder(shards)
        shards.mkdir(exist_ok=True)
        if part is None:
            for folder in (root, shards):
                remove_leftovers(folder)
        check_holds(root, {surfaces.ids[index] for _, run in planned for index in run})
        own = planned if part is None else part.items_of(planned)
        todo = [(path, run) for path, run in own if not is_done(path, retry_refused=retry_refused, verify=verify)]
        left, total = {path: len(run) for path, run in todo}, sum(len(run) for _, run in own)
        kept = f"{{}} of {total} shapes are done (encoded or refused) and saved; run the same command to resume."
        with (
            kept_on_stop(lambda: kept.format(total - sum(left.values()))),
            long_progress("{task.fields[refused]} refused") as progress,
        ):
            total_clouds = settings.subsets * sum(left.values())
            task = progress.add_task("encoding", total=total_clouds, visible=total_clouds > 0, refused=0)
            refused = 0
            for path, run in todo:
                advance = partial(progress.advance, task)
                shapes, without = encode_run(autoencoder, surfaces, run, settings, augment, advance)
                write_latent_shard(path, shapes, without, autoencoder.levels, settings.subsets)
                del left[path]
                refused += len(without)
                progress.update(task, refused=refused)
        if part is not None:
            return [shape for path, _ in own for shape in LatentShard(path).refused]
        save_autoencoder(autoencoder, root / OF_LATENTS, num_surface_points=settings.num_surface_points)
        return write_index(root, [path.name for path, _ in planned])


def is_done(path: Path, *, retry_refused: bool, verify: bool) -> bool:
    """Return whether a shard exists, is not damaged, and holds no refused shape to retry. Any damage is printed."""
    if not path.exists():
        return False
    if damage := damage_of(path, LatentShard, every_byte=verify):
        print(f"{damage} Its shapes are encoded again.", flush=True)
        return False
    return not (retry_refused and LatentShard(path).refused)


def plan(
    root: Path, surfaces: SurfaceSource, splits: Sequence[str] | None, ids: Sequence[str] | None
) -> list[tuple[Path, list[int]]]:
    """Choose the shapes of some splits and ids (None: all), and distribute them over shards.

    Returns:
        For each shard, its path and the indices of its shapes.
    """
    chosen = choose(surfaces, splits, ids)
    runs = [chosen[first : first + SHAPES_PER_SHARD] for first in range(0, len(chosen), SHAPES_PER_SHARD)]
    names = [shard_name(number, [surfaces.ids[index] for index in run]) for number, run in enumerate(runs)]
    return [(inside(root, f"shards/{name}"), run) for name, run in zip(names, runs, strict=True)]


def encoding_status(
    surfaces: SurfaceSource,
    output: str | Path,
    splits: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> str:
    """Return one line that says how many shapes are encoded, refused and missing, as found in the shards of the folder.

    The shapes of damaged shards count as missing, since they will be encoded again. The function can be called while an
    encoding is running, without disturbing it.
    """
    root = Path(output)
    LATENTS.read(LocalFolder(root))
    planned = plan(root, surfaces, splits, ids)
    there = [LatentShard(path) for path, _ in planned if not damage_of(path, LatentShard, every_byte=False)]
    total, done = sum(len(run) for _, run in planned), sum(len(shard.ids) for shard in there)
    return status_line("shapes", total=total, done=done, refused=sum(len(shard.refused) for shard in there))


def begin(
    root: Path,
    autoencoder: Autoencoder,
    surfaces: SurfaceSource,
    settings: EncodeSettings,
    augment: Augmentation | None,
) -> None:
    """Create the folder with its format.json, or check that an existing one was made with the same arguments."""
    fingerprint = fingerprint_of(autoencoder)
    if (root / "format.json").exists():
        recorded = LATENTS.read(LocalFolder(root)).text("fingerprint")
        check_fingerprint(fingerprint, recorded, f"the latent cache {root}")
    decisive = {
        **asdict(settings),
        "ids": settings.ids and hashlib.sha256("\n".join(settings.ids).encode()).hexdigest(),
        "augment": None if augment is None else vars(augment),
        "shapes_per_shard": SHAPES_PER_SHARD,
        "data": surfaces.description,
    }
    levels = [asdict(level) for level in autoencoder.levels]
    LATENTS.begin(root, settings=decisive, fingerprint=fingerprint, levels=levels)


def choose(surfaces: SurfaceSource, splits: Sequence[str] | None, ids: Sequence[str] | None = None) -> list[int]:
    """Choose the shapes whose split is in `splits` and whose id is in `ids`; None stands for all splits or all ids.

    If some of the listed ids are not in the data, this prints one line that says how many.

    Returns:
        Indices of the shapes, sorted by id.

    Raises:
        ValueError: If a split has no shape, or none of the listed ids is in the data.
    """
    known = sorted(set(surfaces.splits))
    if unknown := sorted(set(splits or ()) - set(known)):
        raise ValueError(f"there is no shape of split {', '.join(unknown)}; give one of {', '.join(known)}.")
    listed = set(surfaces.ids if ids is None else ids)
    if absent := sorted(listed - set(surfaces.ids)):
        if len(absent) == len(listed):
            raise ValueError(
                f"none of the {len(listed)} listed shapes is in the data; for example, {absent[0]!r} is not. Give a "
                "list of ids of these data."
            )
        print(f"{len(absent)} of {len(listed)} listed shapes are not in the data, for example {absent[0]}.", flush=True)
    chosen = [
        index
        for index, (id, split) in enumerate(zip(surfaces.ids, surfaces.splits, strict=True))
        if id in listed and (splits is None or split in splits)
    ]
    return sorted(chosen, key=lambda index: surfaces.ids[index])


def check_holds(root: Path, ids: set[str]) -> None:
    """Raise ValueError if the folder's index contains shapes of other data, that is, shapes that are not in `ids`."""
    index = root / "index.csv"
    rows = read_csv(index, COLUMNS) if index.exists() else iter(())
    if gone := [row["id"] for row in rows if row["id"] not in ids]:
        raise ValueError(
            f"{root}: holds {len(gone)} shape(s) that are not in the data, for example {gone[0]!r}; "
            "give another --output."
        )


def write_index(root: Path, names: Iterable[str]) -> list[RefusedShape]:
    """Write index.csv and refused.csv for the shards of the given names, and remove all other shards.

    Returns:
        The refused shapes.
    """
    index: list[tuple[Any, ...]] = []
    refused: list[RefusedShape] = []
    for name in (names := list(names)):
        shard = LatentShard(root / "shards" / name)
        texts = zip(shard.ids, shard.categories, shard.splits, strict=True)
        index += [(id, category, split, name, row) for row, (id, category, split) in enumerate(texts)]
        refused += shard.refused
    write_csv(root / "refused.csv", [field.name for field in fields(RefusedShape)], map(astuple, refused))
    write_csv(root / "index.csv", COLUMNS, index)
    for stale in {path.name for path in (root / "shards").glob("*.safetensors")} - set(names):
        (root / "shards" / stale).unlink()
    return refused
