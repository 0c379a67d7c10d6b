"""The files have the format that docs/data-format.md describes; they are read without the reader of `lagem`."""

import csv
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from lagem.preparation.packing import COLUMNS
from lagem.preparation.pipeline import prepare
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shards import Shards

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-format.md"
STEPS = {
    "surface_points": 1.25 / 32767,
    "surface_normals": 1 / 127,
    "volume_inside": 3**0.5 / 32767,
    "volume_outside": 3**0.5 / 32767,
    "near_inside": 1.25 / 32767,
    "near_outside": 1.25 / 32767,
}
TYPES = {"I8": "<i1", "I16": "<i2", "I64": "<i8", "F64": "<f8"}


def arrays_of(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Read all arrays of a safetensors file and the texts in its header, by json and numpy only."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    words = json.loads(header.pop("__metadata__")["lagem"])
    arrays = {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        arrays[name] = np.frombuffer(content[first:last], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, words


def test_a_reader_written_from_the_page_agrees_with_ours(folder, tmp_path, small, in_this_process):
    root = tmp_path / "out"
    prepare([folder], root, small)
    ours = Shards(root)
    with (root / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ours.ids == sorted(ours.ids)
    for index, entry in enumerate(rows):
        arrays, words = arrays_of(root / "shards" / entry["shard"])
        row = int(entry["row"])
        assert (words["format"], words["version"], words["ids"][row]) == ("lagem-occupancy", 1, entry["id"])
        assert words["near_sigmas"][row] == [0.005, 0.05]
        assert (words["categories"][row], words["splits"][row]) == (entry["category"], entry["split"])
        for pool, step in STEPS.items():
            first, last = arrays[f"{pool}.offsets"][row : row + 2]
            values = arrays[pool][first:last].astype(np.float32) * np.float32(step)
            assert len(values) == int(entry[pool]) == ours.count(index, pool)
            if len(values):
                np.testing.assert_array_equal(values, ours.read(index, pool))
        assert arrays["scale"][row] == ours.frame(index).scale
        np.testing.assert_array_equal(arrays["center"][row], ours.frame(index).center)
        assert int(arrays["faces"][row]) == int(entry["faces"])
        drawn = arrays["volume_drawn_inside"][row], arrays["volume_drawn_outside"][row]
        assert drawn == ours.volume_drawn(index)
        assert float(entry["inside_share"]) == round(ours.count(index, "volume_inside") / drawn[0], 6)


def test_checksums_are_those_of_the_page(folder, tmp_path, small, in_this_process):
    prepare([folder], tmp_path / "out", replace(small, surface=2500))
    for path in (tmp_path / "out" / "shards").iterdir():
        arrays, words = arrays_of(path)
        of = words.pop("crc32")
        assert of["description"] == zlib.crc32(json.dumps(words, sort_keys=True).encode())
        assert of["arrays"] == {name: zlib.crc32(arrays[name].tobytes()) for name in arrays.keys() - STEPS.keys()}
        for pool in STEPS:
            offsets = arrays[f"{pool}.offsets"]
            shapes = [arrays[pool][first:last] for first, last in zip(offsets, offsets[1:], strict=False)]
            runs = [rows[first : first + 1024] for rows in shapes for first in range(0, len(rows), 1024)]
            assert arrays[f"crc32.{pool}"].tolist() == [zlib.crc32(run.tobytes()) for run in runs]


def test_the_page_names_every_array_and_column(folder, tmp_path, small, in_this_process):
    prepare([folder], tmp_path / "out", small)
    arrays, words = arrays_of(next((tmp_path / "out" / "shards").iterdir()))
    settings = json.loads((tmp_path / "out" / "format.json").read_text())["settings"]
    page = PAGE.read_text(encoding="utf-8")
    names = {name for name in arrays if not name.endswith(".offsets")} | set(words) | set(COLUMNS) | set(settings)
    assert [name for name in sorted(names) if f"`{name}`" not in page and f'"{name}"' not in page] == []
    assert set(STEPS) == set(POOLS)


def test_a_shard_holds_shapes_of_one_split(folder, tmp_path, small, in_this_process):
    prepare([folder], tmp_path / "out", replace(small, val_share=0.5, shapes_per_shard=3))
    shards = Shards(tmp_path / "out")
    assert set(shards.splits) == {"train", "val"}
    pairs = set(zip(shards.shards, shards.splits, strict=True))
    assert len(pairs) == len(set(shards.shards)) == len(list((tmp_path / "out" / "shards").iterdir()))


def test_words_in_any_script_survive(folder, tmp_path, small, in_this_process):
    manifest = tmp_path / "list.csv"
    manifest.write_text(f'file,id,category\n{folder}/balls/ball_0.off,"тарелка, 皿","küche ""a"""\n', encoding="utf-8")
    prepare([manifest], tmp_path / "out", small)
    shards = Shards(tmp_path / "out")
    assert (shards.ids, shards.categories) == (["тарелка, 皿"], ['küche "a"'])
    assert shards.count(0, "surface_points") == small.surface
