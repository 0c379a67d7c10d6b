"""The checks of `lagem doctor` report faults in the stored arrays of a prepared folder."""

from dataclasses import replace

import numpy as np
import pytest

import small_run
from lagem.diagnosis.examined import examined
from lagem.diagnosis.labels import judge_labels, label_test
from lagem.diagnosis.stored import bad_normals, judge_normals, judge_pools, lost_share
from lagem.diagnosis.subject import Subject, batches
from lagem.prepared.shard_file import ShapeArrays
from lagem.prepared.shards import Shards
from planted_data import change_shards


def with_pool(shape: ShapeArrays, pool: str, rows: np.ndarray) -> ShapeArrays:
    return replace(shape, pools={**shape.pools, pool: rows})


@pytest.mark.parametrize("stored", [0, -128])
@pytest.mark.parametrize(("ids", "rows"), [(["brick"], 3), (["brick", "torus"], 50), (None, None)])
def test_normals_that_were_not_a_number_are_named(folder, stored, ids, rows):
    def plant(shape: ShapeArrays) -> ShapeArrays:
        if ids is not None and shape.id not in ids:
            return shape
        normals = shape.pools["surface_normals"].copy()
        normals[:rows] = stored
        return with_pool(shape, "surface_normals", normals)

    change_shards(folder, plant)
    shards = Shards(folder)
    bad = {id: count for index, id in enumerate(shards.ids) if (count := bad_normals(shards, index))}
    assert sorted(bad) == sorted(shards.ids if ids is None else ids)
    (finding,) = judge_normals(bad, missing=[], examined=len(shards))
    assert (finding.check, finding.severity) == ("normals", "error")


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.1])
def test_pools_that_have_lost_points_are_named(folder, kept):
    def plant(shape: ShapeArrays) -> ShapeArrays:
        rows = shape.pools["volume_inside"]
        return with_pool(shape, "volume_inside", rows[: round(kept * len(rows))]) if shape.id == "ball" else shape

    change_shards(folder, plant)
    shards = Shards(folder)
    (finding,) = judge_pools(
        {id: lost_share(shards, index) for index, id in enumerate(shards.ids)}, {}, expected_near=None
    )
    assert list(finding.evidence["shapes"]) == ["ball"]


def test_flipped_labels_are_named_although_random_solids_replace_all_training_samples(folder):
    def plant(shape: ShapeArrays) -> ShapeArrays:
        pools = dict(shape.pools)
        for kind in ("volume", "near"):
            pools[f"{kind}_inside"], pools[f"{kind}_outside"] = pools[f"{kind}_outside"], pools[f"{kind}_inside"]
        return replace(shape, pools=pools) if shape.split == "train" else shape

    change_shards(folder, plant)
    settings = [f"--data.init_args.root={folder}", "--data.init_args.universe_fraction=1"]
    subject = Subject.of(small_run.ROOT / "experiments/autoencoder/meshes.yaml", [*settings, *small_run.SMALL_MODEL])
    shapes = list(examined(batches(subject.examined, "train", 4), "train"))
    (finding,) = judge_labels({shape.id: label_test(shape) for shape in shapes}, out_of_frame=[])
    assert (finding.check, finding.severity) == ("labels", "error")


def test_prepared_shapes_raise_no_alarm(folder):
    shards = Shards(folder)
    everything = range(len(shards))
    assert [bad_normals(shards, index) for index in everything] == [0] * len(shards)
    lost = {shards.ids[index]: lost_share(shards, index) for index in everything}
    near = {
        shards.ids[index]: shards.count(index, "near_inside") + shards.count(index, "near_outside")
        for index in everything
    }
    assert judge_pools(lost, near, expected_near=2000) == []
