"""The search for nearest training shapes agrees with a simple loop, is cached, and says why it found no shape."""

import json
from pathlib import Path

import pytest

from lagem.evaluation import neighbours
from lagem.evaluation.neighbours import find_neighbours
from lagem.geometry.metrics import chamfer_distance
from lagem.prepared.shards import Shards
from toy_shapes import damage_shard

CACHE = ".nearest_train.val.json"


def cloud(shards: Shards, id: str):
    return shards.read(shards.ids.index(id), "surface_points")


def change_cache(path: Path, *, distance: float | None = None, index: str | None = None) -> None:
    content = json.loads(path.read_text())
    if distance is not None:
        content["nearest"]["torus"]["distance"] = distance
    if index is not None:
        content["of"]["index's sha256"] = index
    path.write_text(json.dumps(content))


def test_the_nearest_is_that_of_a_loop_over_all_training_shapes(folder, tmp_path):
    shards = Shards(folder)
    found = find_neighbours(shards, "val", tmp_path).by_id
    assert set(found) == {"again", "nearly", "torus"}
    for id, neighbour in found.items():
        distances = {
            other: chamfer_distance(cloud(shards, id), cloud(shards, other))
            for other in ("ball", "brick", "cube", "rod")
        }
        assert neighbour.id == min(distances, key=distances.get)
        assert neighbour.distance == pytest.approx(distances[neighbour.id])
    assert (found["again"].id, found["nearly"].id) == ("ball", "cube")


def test_a_narrow_search_still_finds_a_copy(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "ALIKE", 2)
    monkeypatch.setattr(neighbours, "FINALISTS", 1)
    found = find_neighbours(Shards(folder), "val", tmp_path).by_id
    assert (found["again"].id, found["nearly"].id) == ("ball", "cube")


def test_the_cache_is_used_as_long_as_the_index_does_not_change(folder, tmp_path):
    first = find_neighbours(Shards(folder), "val", tmp_path)
    change_cache(folder / CACHE, distance=9)
    assert find_neighbours(Shards(folder), "val", tmp_path).by_id["torus"].distance == 9
    change_cache(folder / CACHE, index="of another folder")
    assert find_neighbours(Shards(folder), "val", tmp_path) == first
    (folder / CACHE).write_text('{"of": ')
    assert find_neighbours(Shards(folder), "val", tmp_path) == first
    assert json.loads((folder / CACHE).read_text())["nearest"]["torus"]["id"] == first.by_id["torus"].id


@pytest.mark.parametrize(
    "change", [lambda nearest: nearest.pop("torus"), lambda nearest: nearest["torus"].update(id="x")]
)
def test_a_cache_that_lacks_a_shape_or_names_an_unknown_one_is_not_used(folder, tmp_path, change):
    first = find_neighbours(Shards(folder), "val", tmp_path)
    content = json.loads((folder / CACHE).read_text())
    change(content["nearest"])
    (folder / CACHE).write_text(json.dumps(content))
    assert find_neighbours(Shards(folder), "val", tmp_path) == first


def test_the_cache_is_in_the_output_if_the_prepared_folder_is_read_only(folder, tmp_path):
    (folder / CACHE).mkdir()  # root may write everywhere, but cannot replace a folder
    first = find_neighbours(Shards(folder), "val", tmp_path / "output")
    assert [path.name for path in (tmp_path / "output").iterdir()] == [CACHE]
    change_cache(tmp_path / "output" / CACHE, distance=9)
    again = find_neighbours(Shards(folder), "val", tmp_path / "output")
    assert again.by_id["torus"].distance == 9 and again.by_id["again"] == first.by_id["again"]


@pytest.mark.parametrize(("split", "words"), [("train", "training set itself"), ("val", "no shape of split 'train'")])
def test_without_another_training_set_the_reason_is_given(folder, tmp_path, split, words):
    index = folder / "index.csv"
    if split == "val":
        index.write_text(index.read_text().replace(",train,", ",other,"))
    found = find_neighbours(Shards(folder), split, tmp_path)
    assert found.by_id == {} and words in found.unknown
    assert "raw meshes have no training set" in find_neighbours(None, split, tmp_path).unknown


def test_a_damaged_training_shard_is_named_and_nothing_is_cached(folder, tmp_path):
    damaged = damage_shard(folder, "brick")
    found = find_neighbours(Shards(folder), "val", tmp_path)
    assert found.by_id == {} and damaged.name in found.unknown
    assert not (folder / CACHE).exists() and not (tmp_path / CACHE).exists()


def test_an_evaluated_shape_in_a_damaged_shard_has_no_neighbour_and_nothing_is_cached(folder, tmp_path):
    damage_shard(folder, "torus")
    found = find_neighbours(Shards(folder), "val", tmp_path)
    assert set(found.by_id) == {"again", "nearly"} and found.unknown == ""
    assert not (folder / CACHE).exists()
