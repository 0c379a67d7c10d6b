"""`lagem evaluate`: exact fields score perfectly, failures count and are named, a killed run goes on."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from lagem.cli import main
from lagem.evaluation.reconstruction.run import evaluate
from lagem.evaluation.reconstruction.score import ShapeScore, score_shape
from lagem.evaluation.reconstruction.summary import summarise
from lagem.evaluation.reconstruction.truth import Truth, UnreadableShape, truths_of_meshes, truths_of_prepared
from lagem.geometry.mesh import Mesh
from lagem.preparation.pipeline import prepare
from lagem.preparation.settings import Settings
from lagem.storage.parts import Part

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    for name, made in (
        ("balls/one", trimesh.creation.icosphere(4)),
        ("boxes/cube", trimesh.creation.box((1, 1, 1))),
        ("boxes/brick", trimesh.creation.box((1, 0.5, 0.25))),
    ):
        Mesh(made.vertices, made.faces).save(folder / f"{name}.ply")
    return folder


@pytest.fixture(scope="module")
def prepared(meshes, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare([meshes], out, Settings(surface=5_000, volume=8_000, near=2_000, inside=500, val_share=1))
    return out


def truth(prepared: Path, id: str) -> Truth:
    (found,) = [t for t in truths_of_prepared(prepared, split="val", num_surface_points=64, seed=0) if t.id == id]
    return found


def score(truth: Truth, field) -> ShapeScore:
    return score_shape(truth, field, resolution=64, points=5_000, seed=0, device=CPU)


def ball(points: torch.Tensor) -> torch.Tensor:
    return 1 - points.norm(dim=1)


def test_the_exact_field_scores_at_the_floor(prepared):
    found = score(truth(prepared, "balls__one"), lambda points: 0.999 - points.norm(dim=1))
    assert found.chamfer == pytest.approx(found.floor, rel=0.05)
    assert found.fscore_050 > 0.94 and found.normal_consistency > 0.995
    assert found.iou > 0.99 and found.iou_near > 0.95 and found.reason == ""


def test_a_shrunken_ball_scores_its_offset_and_its_volume(prepared):
    found = score(truth(prepared, "balls__one"), lambda points: 0.8 - points.norm(dim=1))
    assert found.chamfer == pytest.approx(0.4, rel=0.05)
    assert (found.fscore_010, found.fscore_020, found.fscore_050) == (0, 0, 0)
    assert found.iou == pytest.approx(0.8**3, rel=0.06) and found.normal_consistency > 0.99


def test_iou_is_that_of_the_ball_also_where_more_was_drawn_inside(tmp_path):
    rod = trimesh.creation.box((0.05, 0.05, 2))
    Mesh(rod.vertices, rod.faces).save(tmp_path / "rod.ply")
    prepare(
        [tmp_path / "rod.ply"],
        tmp_path / "out",
        Settings(surface=500, volume=20_000, near=50, inside=4_000, val_share=1),
    )
    of_rod = next(truths_of_prepared(tmp_path / "out", split="val", num_surface_points=64, seed=0))
    radius = 0.5
    found = score(of_rod, lambda points: radius - points.norm(dim=1))
    scale = 1 / np.linalg.norm([0.025, 0.025, 1])
    inside, ball_volume = 0.05**2 * 2 * scale**3, 4 / 3 * np.pi * radius**3
    shared = 0.05**2 * scale**2 * 2 * radius
    assert found.iou == pytest.approx(shared / (ball_volume + inside - shared), rel=0.15)


def test_a_field_without_inside_counts_as_zero_and_says_why(prepared):
    found = score(truth(prepared, "balls__one"), lambda points: -torch.ones(len(points)))
    assert (found.fscore_020, found.normal_consistency, found.iou, found.chamfer) == (0, 0, 0, None)
    assert "no surface" in found.reason


def test_meshes_as_they_are_have_a_surface_but_no_labels(meshes, tmp_path):
    (meshes / "boxes" / "words.obj").write_text("no mesh")
    try:
        found = list(truths_of_meshes([meshes], num_surface_points=64, num_reference_points=500, seed=0))
    finally:
        (meshes / "boxes" / "words.obj").unlink()
    (refused,) = [t for t in found if isinstance(t, UnreadableShape)]
    assert (refused.id, refused.category) == ("boxes__words", "boxes") and "no faces" in refused.reason
    true = [t for t in found if isinstance(t, Truth)]
    assert len(true) == 3 and all(t.volume is None and t.near is None for t in true)
    assert all(t.reference_points.shape == (500, 3) and t.surface_points.shape == (64, 3) for t in true)


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
    values = np.random.default_rng(0).normal(size=400)
    summary = summarise([ShapeScore(id=str(n), category="c", fscore_020=value) for n, value in enumerate(values)])
    mean = summary.over_shapes["fscore_020"]
    assert mean.low < mean.value < mean.high
    assert (mean.high - mean.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_nothing_to_sum_up_is_an_error():
    with pytest.raises(ValueError, match="no shape was scored"):
        summarise([])


def test_the_card_says_what_was_measured_on_what(prepared, weights, tmp_path, capsys):
    main(
        [
            "evaluate",
            str(weights),
            str(prepared),
            "--output",
            str(tmp_path / "card"),
            "--points",
            "500",
            "--resolution",
            "16",
        ]
    )
    assert "mean over shapes" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == [
        ".lock",
        "card.json",
        "card.md",
        "examples.png",
        "scores.csv",
    ]
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    assert card["about"]["truth"].startswith("prepared") and card["about"]["split"] == "val"
    assert len(card["scores"]) == 3 and set(card["by_category"]) == {"balls", "boxes"}
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "card" / "scores.csv").open())}
    filled = 4 / 3 * np.pi / (4 / 3 * np.pi * 3**1.5)  # of the ball of radius sqrt(3), by the unit ball
    assert float(rows["balls__one"]["iou"]) == pytest.approx(filled, rel=0.1)
    text = (tmp_path / "card" / "card.md").read_text()
    assert "| mean over categories |" in text and "not squared, 500 points" in text


def test_raw_meshes_are_scored_against_their_own_surface_and_failures_named(meshes, weights, tmp_path):
    (meshes / "boxes" / "empty.obj").touch()
    try:
        summary = evaluate(weights, meshes, tmp_path / "card", points=500, resolution=16)
    finally:
        (meshes / "boxes" / "empty.obj").unlink()
    assert list(summary.failed) == ["boxes__empty"] and "iou" not in summary.over_shapes
    assert summary.over_shapes["fscore_020"].count == 4 and summary.over_shapes["chamfer"].count == 3
    text = (tmp_path / "card" / "card.md").read_text()
    assert "input: the meshes' own surface" in text and "boxes__empty: is empty" in text


def test_shapes_of_a_damaged_shard_count_as_zero_and_are_named_until_it_is_mended(meshes, weights, tmp_path):
    folder = tmp_path / "single"
    settings = Settings(surface=1_000, volume=1_000, near=500, inside=50, val_share=1, shapes_per_shard=1)
    prepare([meshes], folder, settings)
    damaged, *others = sorted((folder / "shards").iterdir())  # the first is that of balls__one
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    assert evaluate(weights, folder, tmp_path / "card", points=500, resolution=16, part=Part(1, 1)) is None
    summary = evaluate(weights, folder, tmp_path / "card", points=500, resolution=16)
    assert list(summary.failed) == ["balls__one"] and damaged.name in summary.failed["balls__one"]
    assert summary.over_shapes["fscore_020"].count == 3 and summary.over_shapes["iou"].count == 2
    for other in others:
        other.write_bytes(b"")
    with pytest.raises(ValueError, match=f"none of the 3 shapes can be read.*{damaged.name}"):
        evaluate(weights, folder, tmp_path / "card", points=500, resolution=16)
    for shard in others:
        shard.unlink()
    damaged.write_bytes(whole)
    prepare([meshes], folder, settings)  # makes the missing ones anew
    summary = evaluate(weights, folder, tmp_path / "card", points=500, resolution=16)
    assert not summary.failed and summary.over_shapes["iou"].count == 3


def test_a_killed_evaluation_goes_on_to_the_same_card(prepared, weights, tmp_path, monkeypatch):
    evaluate(weights, prepared, tmp_path / "whole", points=500, resolution=16)
    from lagem.evaluation.reconstruction import methods

    scored, original = [], methods.score_shape

    def killed(truth, *args, **kwargs):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(truth.id)
        return original(truth, *args, **kwargs)

    monkeypatch.setattr(methods, "score_shape", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(weights, prepared, tmp_path / "killed", points=500, resolution=16)
    kept = tmp_path / "killed" / ".scores.jsonl"
    kept.write_text(kept.read_text() + '{"id": "cut o')
    again = []
    monkeypatch.setattr(
        methods, "score_shape", lambda truth, *a, **k: (again.append(truth.id), original(truth, *a, **k))[1]
    )
    evaluate(weights, prepared, tmp_path / "killed", points=500, resolution=16)
    assert len(again) == 1 and again[0] not in scored
    for name in ("card.json", "card.md", "scores.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_scores_of_other_weights_under_the_same_name_are_not_kept(prepared, weights_of, tmp_path, monkeypatch):
    from lagem.evaluation.reconstruction import run

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "write_card", interrupted)
        evaluate(weights_of(1.0), prepared, tmp_path / "card", points=500, resolution=16)
    summary = evaluate(weights_of(-1.0), prepared, tmp_path / "card", points=500, resolution=16)
    assert len(summary.failed) == 3  # the new weights say outside everywhere


def interrupted(*args):
    raise KeyboardInterrupt


def test_an_unknown_split_names_the_known(prepared, weights, tmp_path):
    with pytest.raises(ValueError, match=r"no shape of split 'test'; it has \['val'\]"):
        evaluate(weights, prepared, tmp_path / "card", split="test")
