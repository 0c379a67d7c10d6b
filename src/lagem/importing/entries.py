"""Lists the shapes in a folder that others prepared, with their ids, categories and splits."""

import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lagem.importing.synsets import SYNSETS
from lagem.sources.mesh_files import MeshSource, checked_new_id, files_below, in_manifest, source_of
from lagem.storage.csv_table import bounded_rows
from lagem.storage.names import checked_name, regular

SPLITS = ("train", "val", "test")
LONGEST_LINE = 1_000  # characters of a name; a longer line is no name
LONGEST_CAPTION = 10_000  # characters
OBJAVERSE = "objaverse"  # the category of all shapes of the LaGeM release, which gives none


def vecset_entries(source: Path) -> Iterator[MeshSource]:
    """Yield the shapes of the 3DILG release. The files `ShapeNetV2_point/<synset>/{train,val,test}.lst` list them.

    Raises:
        ValueError: If the folder has no such file, or a file lists something else than names.
    """
    root = source / "ShapeNetV2_point"
    lists = [root / synset / f"{split}.lst" for synset in _folders(root) for split in SPLITS]
    if not any(path.exists() for path in lists):
        raise ValueError(
            f"{source}: has no ShapeNetV2_point/<synset>/train.lst, val.lst or test.lst; give the folder that holds "
            "ShapeNetV2_point and ShapeNetV2_watertight (or ShapeNetV2_surface)."
        )
    for path in lists:
        if not path.exists():
            continue
        synset, split = path.parent.name, path.stem
        for number, line in enumerate(_lines(path), 1):
            if name := line.strip().removesuffix(".npz"):
                checked_name(name, path, row=number)
                id = checked_new_id(f"{synset}__{name}", path)
                file = os.path.abspath(path.parent / f"{name}.npz")
                yield MeshSource(path=file, id=id, category=sys.intern(SYNSETS.get(synset, synset)), split=split)


def lagem_entries(source: Path) -> Iterator[MeshSource]:
    """Yield the shapes of the LaGeM release. The files `train.csv`, `val.csv` and `test.csv` list them."""
    for split, shard, uid, _ in _lagem_rows(source):
        file = os.path.abspath(source / shard / f"{uid}.npz")
        yield MeshSource(path=file, id=uid, category=OBJAVERSE, split=split)


def captions(source: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and the caption of each captioned shape of the LaGeM release."""
    for _, _, uid, caption in _lagem_rows(source):
        if caption:
            yield uid, caption


def npz_entries(source: Path, val_share: float) -> Iterator[MeshSource]:
    """Yield the shapes in the npz files that a folder holds or a manifest lists.

    The id of a file in a folder is its path without the extension, with '/' written as '__'. If the path begins with
    the folder `train`, `val` or `test`, that is its split. The category is the name of the folder that holds the file.
    A manifest is a .csv file as for `lagem prepare`.

    Args:
        source: The folder or the manifest.
        val_share: Of the shapes without a given split, the fraction that become `val`; the others become `train`.
    """
    if source.suffix.lower() == ".csv":
        listed = in_manifest(source)
    elif source.is_dir():
        listed = _npz_files(source)
    else:
        raise ValueError(f"{source}: is neither a folder nor a manifest (.csv); give one of these.")
    for path, id, category, split in listed:
        yield source_of(path, id=id, category=category, split=split, val_share=val_share)


def _npz_files(folder: Path) -> Iterator[tuple[str | Path, str, str, str]]:
    for path in files_below(folder):
        if path.suffix.lower() == ".npz":
            parts = path.relative_to(folder).with_suffix("").parts
            yield path, "__".join(parts), "", parts[0] if len(parts) > 1 and parts[0] in SPLITS else ""


def _lagem_rows(source: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (split, shard, uid, caption) of each shape of the LaGeM release; an absent caption is empty.

    Raises:
        ValueError: If train.csv, val.csv and test.csv are all missing, or a row is not `shard,uid,caption`.
    """
    tables = [source / f"{split}.csv" for split in SPLITS]
    if not any(path.exists() for path in tables):
        raise ValueError(
            f"{source}: has no train.csv, val.csv or test.csv; copy these files here, next to the folders of npz "
            "files. They are in the folder util of the authors' repository."
        )
    for path in tables:
        if not path.exists():
            continue
        try:
            with regular(path).open(newline="", encoding="utf-8-sig") as file:
                for number, row in enumerate(bounded_rows(file), 1):
                    if len(row) not in (2, 3) or len(row[-1]) > LONGEST_CAPTION:
                        raise ValueError(
                            f"{path}: row {number} has {len(row)} fields, but must be shard,uid,caption, with a "
                            "caption of at most 10,000 characters; repair the row."
                        )
                    shard, uid = (checked_name(text, path, row=number) for text in row[:2])
                    yield path.stem, shard, uid, row[2].strip() if len(row) == 3 else ""
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV table in UTF-8 ({error}); fetch it again.") from None


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def _lines(path: Path) -> Iterator[str]:
    try:
        with regular(path).open(encoding="utf-8-sig") as file:
            yield from iter(lambda: file.readline(LONGEST_LINE), "")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 ({error}); fetch it again.") from None
