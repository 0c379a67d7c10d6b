"""The nearest training shape: that of a loop over all, kept where it can be, and not given where there is none."""

import json
from pathlib import Path

import pytest

from lagem.evaluation import neighbours
from lagem.evaluation.neighbours import find_neighbours
from lagem.geometry.metrics import chamfer_distance
from lagem.prepared.shards import Shards

KEPT = ".nearest_train.val.json"


def cloud(shards: Shards, id: str):
    return shards.read(shards.ids.index(id), "surface_points")


def change_kept(path: Path, *, distance: float | None = None, index: str | None = None) -> None:
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


def test_what_was_found_is_read_again_while_the_index_is_the_same(folder, tmp_path):
    first = find_neighbours(Shards(folder), "val", tmp_path)
    change_kept(folder / KEPT, distance=9)
    assert find_neighbours(Shards(folder), "val", tmp_path).by_id["torus"].distance == 9
    change_kept(folder / KEPT, index="of another folder")
    assert find_neighbours(Shards(folder), "val", tmp_path) == first
    (folder / KEPT).write_text('{"of": ')
    assert find_neighbours(Shards(folder), "val", tmp_path) == first
    assert json.loads((folder / KEPT).read_text())["nearest"]["torus"]["id"] == first.by_id["torus"].id


def test_it_is_kept_in_the_output_where_the_folder_cannot_be_written(folder, tmp_path):
    (folder / KEPT).mkdir()  # root may write anywhere, but not in place of a folder
    first = find_neighbours(Shards(folder), "val", tmp_path / "output")
    assert [path.name for path in (tmp_path / "output").iterdir()] == [KEPT]
    change_kept(tmp_path / "output" / KEPT, distance=9)
    again = find_neighbours(Shards(folder), "val", tmp_path / "output")
    assert again.by_id["torus"].distance == 9 and again.by_id["again"] == first.by_id["again"]


@pytest.mark.parametrize(("split", "words"), [("train", "training set itself"), ("val", "no shape of split 'train'")])
def test_without_another_training_set_it_is_said_why_there_is_none(folder, tmp_path, split, words):
    index = folder / "index.csv"
    if split == "val":
        index.write_text(index.read_text().replace(",train,", ",other,"))
    found = find_neighbours(Shards(folder), split, tmp_path)
    assert found.by_id == {} and words in found.unknown
    assert "raw meshes have no training set" in find_neighbours(None, split, tmp_path).unknown


def test_a_damaged_training_shard_is_named_and_nothing_is_kept(folder, tmp_path):
    shards = Shards(folder)
    damaged = folder / "shards" / shards.shards[shards.ids.index("brick")]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = find_neighbours(Shards(folder), "val", tmp_path)
    assert found.by_id == {} and damaged.name in found.unknown
    assert not (folder / KEPT).exists() and not (tmp_path / KEPT).exists()


def test_evaluated_shapes_in_a_damaged_shard_have_no_neighbour_and_nothing_is_kept(folder, tmp_path):
    shards = Shards(folder)
    damaged = folder / "shards" / shards.shards[shards.ids.index("torus")]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert find_neighbours(Shards(folder), "val", tmp_path) == neighbours.Neighbours({})
    assert not (folder / KEPT).exists()
