"""Flipped bits in a prepared folder are found when they are read; a resumed preparation makes damaged shards anew."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from flips import accepted, flipped_copies, header_length
from lagem.cli import main
from lagem.preparation.pipeline import prepare
from lagem.prepared import pool_rows
from lagem.prepared.inspection import inspect_folder
from lagem.prepared.quantisation import POOLS
from lagem.prepared.shard_file import ShardFile
from lagem.prepared.shards import Shards


@pytest.fixture
def shard(root) -> Path:
    return sorted((root / "shards").iterdir())[0]


def content_of(path: Path) -> list:
    """Return everything that can be read from a shard, in plain types."""
    file = ShardFile(path)
    rows = range(len(file.ids))
    shapes = [file.shape(row) for row in rows]
    pools = [shape.pools[pool].tolist() for shape in shapes for pool in POOLS]
    others = [
        [s.id, s.category, s.split, s.faces, s.near_sigmas, *file.volume_drawn(row)] for row, s in enumerate(shapes)
    ]
    return [others, [[*shape.frame.center, shape.frame.scale] for shape in shapes], pools]


def flip_in(path: Path, array: str, row: int) -> None:
    """Flip one bit in a row of an int16 pool in a shard."""
    content = bytearray(path.read_bytes())
    header = json.loads(content[8 : header_length(content)])
    content[header_length(content) + header[array]["data_offsets"][0] + 6 * row] ^= 4
    path.write_bytes(content)


def without_checksums(path: Path) -> None:
    """Rewrite a shard without checksums, as earlier versions wrote it."""
    content = path.read_bytes()
    words = json.loads(json.loads(content[8 : header_length(content)])["__metadata__"]["lagem"])
    del words["crc32"]
    arrays = {name: array for name, array in load_file(path).items() if not name.startswith("crc32.")}
    path.write_bytes(save(arrays, metadata={"lagem": json.dumps(words, sort_keys=True, ensure_ascii=False)}))


def test_no_flipped_bit_of_a_shard_changes_what_is_read(shard, monkeypatch):
    whole, content = content_of(shard), shard.read_bytes()
    copies = flipped_copies(content, 400, header=header_length(content))
    assert accepted(shard, copies, content_of, whole.__eq__) < 20  # such as a flip in the name of the checksums


@pytest.mark.parametrize("run", [7, 60, 1024])
def test_only_the_windows_that_touch_a_flipped_row_are_refused(
    run, folder, tmp_path, small, in_this_process, monkeypatch
):
    monkeypatch.setattr(pool_rows, "RUN", run)
    prepare([folder], tmp_path / "out", small)
    (path, *_) = sorted((tmp_path / "out" / "shards").iterdir())
    whole = ShardFile(path).shape(1).pools["surface_points"]
    first = int(ShardFile(path).offsets["surface_points"][1])
    flip_in(path, "surface_points", first + 20)
    for start in range(60):
        for count in (1, 8, 35, 60):
            read = {(start + step) % 60 // run for step in range(count)}
            file = ShardFile(path)
            if 20 // run in read:
                message = f"{path.name}: damaged: surface_points of shape '{file.ids[1]}' does not match its checksum"
                for _ in range(2):  # the refused window is not remembered as verified
                    with pytest.raises(ValueError, match=re.escape(message)):
                        file.stored(1, "surface_points", start, count)
            else:
                expected = whole[(start + np.arange(count)) % 60]
                for _ in range(2):
                    np.testing.assert_array_equal(file.stored(1, "surface_points", start, count), expected)
            for other in (0, 2):
                file.stored(other, "surface_points", start, count)


def test_shards_without_checksums_are_read_and_counted(root):
    before = [content_of(path) for path in sorted((root / "shards").iterdir())]
    for path in (root / "shards").iterdir():
        without_checksums(path)
    assert [content_of(path) for path in sorted((root / "shards").iterdir())] == before
    assert inspect_folder(root, judged=0).unverified == len(Shards(root))


@pytest.mark.parametrize("verify", [False, True])
def test_a_damaged_shard_is_made_anew_with_the_same_bytes(verify, root, shard, folder, small, payload, capsys):
    before = payload(root)
    if verify:
        flip_in(shard, "near_outside", 3)
        prepare([folder], root, small)  # reads no rows
        assert payload(root) != before
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    prepare([folder], root, small, verify=verify)
    assert payload(root) == before
    assert f"{shard}: " in capsys.readouterr().out


def test_a_damaged_shard_stays_if_a_mesh_of_it_is_not_given(root, shard, folder, small, payload):
    shard.write_bytes(shard.read_bytes()[:-1])
    before = payload(root)
    (folder / "balls" / "ball_0.off").rename(folder.parent / "ball_0.off")
    with pytest.raises(ValueError, match=f"{shard.name}: is damaged, and 1 of its . shapes .* 'balls__ball_0'"):
        prepare([folder], root, small)
    assert payload(root) == before


def test_inspect_lists_every_damaged_shape_and_fails(root, shard, capsys):
    flip_in(shard, "near_outside", 0)
    with pytest.raises(SystemExit) as exit:
        main(["inspect", str(root)])
    assert exit.value.code == 2
    printed = capsys.readouterr()
    name = ShardFile(shard).ids[0]
    assert f"{name}: {shard}: damaged: near_outside of shape '{name}' does not match" in printed.out.replace("\n", " ")
    assert "damaged shapes: 1;" in printed.err


def test_a_frame_that_is_not_finite_is_refused_by_file_and_row(shard):
    arrays, content = load_file(shard), shard.read_bytes()
    words = json.loads(json.loads(content[8 : header_length(content)])["__metadata__"]["lagem"])
    del words["crc32"]
    arrays["scale"][1] = np.nan
    shard.write_bytes(save(arrays, metadata={"lagem": json.dumps(words)}))
    with pytest.raises(ValueError, match=f"{shard.name}: row 1: its frame has centre .* and scale nan"):
        ShardFile(shard)
