"""The reader of prepared folders: windows wrap around, errors take one line, and nothing is unpickled."""

import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lagem.preparation.shape import prepare_shape
from lagem.prepared.quantisation import POOLS, decode
from lagem.prepared.shard_file import ShardFile, write_shard
from lagem.prepared.shards import Shards


@pytest.fixture
def shards(root) -> Shards:
    return Shards(root)


def test_index_is_sorted_by_id_with_category_and_split(shards):
    assert shards.ids == [*(f"balls__ball_{n}" for n in range(3)), *(f"boxes__box_{n}" for n in range(4))]
    assert shards.categories == ["balls"] * 3 + ["boxes"] * 4
    assert set(shards.splits) <= {"train", "val"}
    assert len(shards) == 7


def test_every_pool_comes_back_as_it_was_prepared(shards, folder, small):
    for index, id in enumerate(shards.ids):
        path = next(folder.rglob(f"{id.partition('__')[2]}.*"))
        shape, _ = prepare_shape(path, id, shards.categories[index], shards.splits[index], small)
        for pool in POOLS:
            assert shards.count(index, pool) == len(shape.pools[pool])
            if shards.count(index, pool):
                np.testing.assert_array_equal(shards.read(index, pool), decode(pool, shape.pools[pool]))
        assert shards.frame(index).scale == shape.frame.scale
        np.testing.assert_array_equal(shards.frame(index).center, shape.frame.center)
        assert shards.volume_drawn(index) == (small.volume, small.volume)


@pytest.mark.parametrize("start", [0, 7, 59, 60, 1234])
@pytest.mark.parametrize("count", [0, 1, 30, 60, 61, 200])
def test_windows_wrap_around(shards, start, count):
    whole = shards.read(4, "surface_points")
    expected = np.array([whole[(start + step) % len(whole)] for step in range(count)]).reshape(count, 3)
    window = shards.read(4, "surface_points", start, count)
    assert window.dtype == np.float32
    np.testing.assert_array_equal(window, expected)


def test_a_window_without_a_count_is_the_whole_pool_turned(shards):
    whole = shards.read(0, "near_inside")
    np.testing.assert_array_equal(shards.read(0, "near_inside", 5), np.roll(whole, -5, axis=0))


def test_points_and_normals_share_their_windows(shards):
    points, normals = (shards.read(0, pool, 50, 40) for pool in ("surface_points", "surface_normals"))
    assert (np.einsum("nc,nc->n", points, normals) > 0.95).all()  # a ball


def test_reader_can_be_pickled_and_forgets_open_files(shards):
    whole = shards.read(3, "near_outside")
    copy = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(copy.read(3, "near_outside"), whole)


def test_reader_works_after_a_fork(shards):
    whole = shards.read(3, "near_outside")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(shards.read, (3, "near_outside")), whole)


def test_few_shards_stay_open(root, monkeypatch):
    monkeypatch.setattr("lagem.storage.stored_folder.LocalFolder.open_files", 1)
    shards = Shards(root)
    for index in (0, 6, 3, 0, 6):
        shards.read(index, "surface_points", 0, 1)
        assert len(shards._opened) == 1


def test_an_empty_pool_is_an_error_that_names_shape_and_pool(root, folder, small):
    path = next((root / "shards").iterdir())
    rows = ShardFile(path)
    shapes = [rows.shape(row) for row in range(len(rows.ids))]
    nothing = {**shapes[0].pools, "volume_inside": np.empty((0, 3), np.int16)}
    write_shard(path, [replace(shapes[0], pools=nothing), *shapes[1:]])
    shards = Shards(root)
    index = shards.ids.index(rows.ids[0])
    assert shards.count(index, "volume_inside") == 0
    with pytest.raises(ValueError, match=f"'{rows.ids[0]}' has no point in volume_inside"):
        shards.read(index, "volume_inside", 0, 4)
    assert ShardFile(path).shape(0).pools["volume_inside"].shape == (0, 3)


def test_unknown_pools_are_named(shards):
    with pytest.raises(ValueError, match="no pool 'sdf'; use one of surface_points"):
        shards.count(0, "sdf")


def test_an_absent_folder_is_said_to_be_absent(tmp_path):
    with pytest.raises(ValueError, match=r"no such folder; prepare meshes with `lagem prepare"):
        Shards(tmp_path / "nowhere")


def test_a_folder_without_an_index_asks_for_prepare(root):
    (root / "index.csv").unlink()
    with pytest.raises(ValueError, match=r"no index.csv.*run `lagem prepare`"):
        Shards(root)


def test_another_format_or_version_is_refused(root):
    text = (root / "format.json").read_text()
    (root / "format.json").write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="version 2 of lagem-occupancy, but this lagem reads version 1"):
        Shards(root)
    (root / "format.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="format is 'other', expected 'lagem-occupancy'"):
        Shards(root)


def test_a_missing_shard_is_named(root, shards):
    path = sorted((root / "shards").iterdir())[0]
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name}: the shard is missing"):
        shards.read(0, "surface_points")


def test_doubled_ids_are_refused(root):
    lines = (root / "index.csv").read_text().splitlines()
    (root / "index.csv").write_text("\n".join([*lines, lines[-1]]) + "\n")
    with pytest.raises(ValueError, match="id 'boxes__box_3' occurs more than once"):
        Shards(root)


def test_a_damaged_index_is_refused(root):
    text = (root / "index.csv").read_text()
    (root / "index.csv").write_text(text[: text.rindex("safetensors")])
    with pytest.raises(ValueError, match=r"index.csv: line 8 "):
        Shards(root)


def test_an_index_of_other_shards_is_refused(root):
    text = (root / "index.csv").read_text()
    (root / "index.csv").write_text(text.replace("balls__ball_0", "balls__other"))
    with pytest.raises(ValueError, match="holds shape 'balls__other', but the row does not"):
        Shards(root).count(0, "surface_points")


class Marker:
    """An object whose unpickling would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_in_place_of_a_shard_is_not_run(root, tmp_path):
    for path in (root / "shards").iterdir():
        path.write_bytes(pickle.dumps(Marker(tmp_path / "was_run")))
    with pytest.raises(ValueError, match="not a lagem-occupancy shard"):
        Shards(root).read(0, "surface_points")
    assert not (tmp_path / "was_run").exists()


def test_a_shard_cut_short_is_refused(root):
    for path in (root / "shards").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="not a lagem-occupancy shard"):
        Shards(root).read(0, "surface_points")
