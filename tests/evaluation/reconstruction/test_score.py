"""Exact fields score nearly the best possible; a field without an inside has F-score and IoU 0; means are correct."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from lagem.evaluation.reconstruction.score import ShapeScore, score_shape
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.reconstruction.truth import Truth, UnreadableShape, truths_of_meshes, truths_of_prepared
from lagem.geometry.mesh import Mesh

CPU = torch.device("cpu")


def truth(prepared: Path, id: str) -> Truth:
    (found,) = truths_of_prepared(prepared, split="train", num_surface_points=64, seed=0, only={id})
    return found


def score(truth: Truth, field) -> ShapeScore:
    return score_shape(truth, field, resolution=64, points=5_000, seed=0, device=CPU)


def test_the_exact_field_scores_at_the_floor(with_training):
    found = score(truth(with_training, "ball"), lambda points: 0.999 - points.norm(dim=1))
    assert found.chamfer == pytest.approx(found.floor, rel=0.05)
    assert found.fscore_050 > 0.94 and found.normal_consistency > 0.995
    assert found.iou > 0.99 and found.iou_near > 0.95 and found.reason == ""


def test_a_shrunken_ball_scores_its_offset_and_its_volume(with_training):
    found = score(truth(with_training, "ball"), lambda points: 0.8 - points.norm(dim=1))
    assert found.chamfer == pytest.approx(0.4, rel=0.05)
    assert (found.fscore_010, found.fscore_020, found.fscore_050) == (0, 0, 0)
    assert found.iou == pytest.approx(0.8**3, rel=0.06) and found.normal_consistency > 0.99


def test_iou_of_a_ball_is_unbiased_though_more_queries_were_drawn_inside_the_rod(with_training):
    radius = 0.8
    found = score(truth(with_training, "rod"), lambda points: radius - points.norm(dim=1))
    scale = 1 / np.linalg.norm([0.025, 0.025, 1])
    inside, ball_volume = 0.05**2 * 2 * scale**3, 4 / 3 * np.pi * radius**3
    shared = 0.05**2 * scale**2 * 2 * radius
    assert found.iou == pytest.approx(shared / (ball_volume + inside - shared), rel=0.15)


def test_a_field_without_inside_counts_as_zero_and_says_why(with_training):
    found = score(truth(with_training, "ball"), lambda points: -torch.ones(len(points)))
    assert (found.fscore_020, found.normal_consistency, found.iou, found.chamfer) == (0, 0, 0, None)
    assert "no surface" in found.reason


def test_raw_meshes_have_a_surface_but_no_labels_and_an_unreadable_one_its_reason(tmp_path):
    cube = trimesh.creation.box((1, 1, 1))
    Mesh(cube.vertices, cube.faces).save(tmp_path / "boxes" / "cube.ply")
    (tmp_path / "boxes" / "words.obj").write_text("no mesh")
    true, refused = truths_of_meshes([tmp_path], num_surface_points=64, num_reference_points=500, seed=0)
    assert isinstance(refused, UnreadableShape)
    assert (refused.id, refused.category) == ("boxes__words", "boxes") and "is not an obj statement" in refused.reason
    assert isinstance(true, Truth) and true.id == "boxes__cube" and true.volume is None and true.near is None
    assert true.reference_points.shape == (500, 3) and true.surface_points.shape == (64, 3)


def test_means_over_shapes_and_over_categories_differ_as_they_should():
    scores = [
        ShapeScore(id=id, category=id[0], fscore_020=value) for id, value in (("a1", 1.0), ("a2", 0.0), ("b", 0.9))
    ]
    summary = summarise(scores)
    assert summary.over_shapes["fscore_020"].value == pytest.approx(1.9 / 3)
    assert summary.over_categories["fscore_020"].value == pytest.approx(0.7)
    assert summary.by_category["a"]["fscore_020"].value == 0.5
    assert "chamfer" not in summary.over_shapes


def test_the_interval_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(0.5, 0.1, size=400)
    summary = summarise([ShapeScore(id=str(n), category="c", fscore_020=value) for n, value in enumerate(values)])
    mean = summary.over_shapes["fscore_020"]
    assert mean.low < mean.value < mean.high
    assert (mean.high - mean.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_nothing_to_sum_up_is_an_error():
    with pytest.raises(ValueError, match="no shape was scored"):
        summarise([])
