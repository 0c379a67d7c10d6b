"""`lagem evaluate` writes a card, counts and names failures, and resumes after a kill."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.cli import main
from lagem.evaluation.reconstruction.run import evaluate
from lagem.geometry.mesh import Mesh
from lagem.storage.parts import Part
from toy_shapes import damage_shard

SMALL = {"points": 500, "resolution": 16}


@pytest.fixture
def meshes(tmp_path) -> Path:
    for name, made in (
        ("balls/one", trimesh.creation.icosphere(3)),
        ("boxes/cube", trimesh.creation.box((1, 1, 1))),
        ("boxes/brick", trimesh.creation.box((1, 0.5, 0.25))),
    ):
        Mesh(made.vertices, made.faces).save(tmp_path / "meshes" / f"{name}.ply")
    return tmp_path / "meshes"


def test_the_card_says_what_was_measured_on_what(folder, weights, tmp_path, capsys):
    out = tmp_path / "card"
    options = ["--split", "train", "--points", "500", "--resolution", "16"]
    main(["evaluate", str(weights), str(folder), "--output", str(out), *options])
    printed = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "card.json", "card.md", "examples.png", "scores.csv"
    ]  # fmt: skip
    card = json.loads((out / "card.json").read_text())
    assert card["about"]["truth"].startswith("prepared") and card["about"]["split"] == "train"
    assert len(card["scores"]) == 4 and set(card["by_category"]) == {"balls", "toys"}
    chamfer = card["over_shapes"]["chamfer"]
    for name, end in ("mean over shapes", "value"), ("… 95% from", "low"), ("… 95% to", "high"):
        assert f"{100 * chamfer[end]:.2f}" in printed[name]
    rows = {row["id"]: row for row in csv.DictReader((out / "scores.csv").open())}
    filled = 4 / 3 * np.pi / (4 / 3 * np.pi * 3**1.5)  # the unit ball within the ball of radius sqrt(3)
    assert float(rows["ball"]["iou"]) == pytest.approx(filled, rel=0.1)
    text = (out / "card.md").read_text()
    assert "| mean over categories |" in text and "not squared, 500 points" in text


def test_raw_meshes_are_scored_against_their_own_surface_and_failures_named(meshes, weights, tmp_path):
    (meshes / "boxes" / "empty.obj").touch()
    summary = evaluate(weights, meshes, tmp_path / "card", **SMALL)
    assert list(summary.failed) == ["boxes__empty"] and "iou" not in summary.over_shapes
    assert summary.over_shapes["fscore_020"].count == 4 and summary.over_shapes["chamfer"].count == 3
    text = (tmp_path / "card" / "card.md").read_text()
    assert "input: the meshes' own surface" in text and "boxes__empty: is empty" in text


def test_shapes_of_a_damaged_shard_count_as_zero_and_are_named_until_it_is_repaired(folder, weights, tmp_path):
    whole = {path: path.read_bytes() for path in (folder / "shards").iterdir()}
    damaged = damage_shard(folder, "ball")
    assert evaluate(weights, folder, tmp_path / "card", split="train", **SMALL, part=Part(1, 1)) is None
    summary = evaluate(weights, folder, tmp_path / "card", split="train", **SMALL)
    assert list(summary.failed) == ["ball"] and damaged.name in summary.failed["ball"]
    assert summary.over_shapes["fscore_020"].count == 4 and summary.over_shapes["iou"].count == 3
    for path in whole.keys() - {damaged}:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"none of the 4 shapes can be read.*{damaged.name}"):
        evaluate(weights, folder, tmp_path / "card", split="train", **SMALL)
    for path, content in whole.items():
        path.write_bytes(content)
    summary = evaluate(weights, folder, tmp_path / "card", split="train", **SMALL)
    assert not summary.failed and summary.over_shapes["iou"].count == 4


def test_a_killed_evaluation_resumes_and_writes_the_same_card(meshes, weights, tmp_path, monkeypatch):
    evaluate(weights, meshes, tmp_path / "whole", **SMALL)
    from lagem.evaluation.reconstruction import methods

    scored, original = [], methods.score_shape

    def killed(truth, *args, **kwargs):
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(truth.id)
        return original(truth, *args, **kwargs)

    monkeypatch.setattr(methods, "score_shape", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(weights, meshes, tmp_path / "killed", **SMALL)
    journal = tmp_path / "killed" / ".scores.jsonl"
    journal.write_text(journal.read_text() + '{"id": "cut o')
    again = []
    monkeypatch.setattr(
        methods, "score_shape", lambda truth, *a, **k: (again.append(truth.id), original(truth, *a, **k))[1]
    )
    evaluate(weights, meshes, tmp_path / "killed", **SMALL)
    assert len(again) == 1 and again[0] not in scored
    for name in ("card.json", "card.md", "scores.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_scores_of_other_weights_in_the_same_file_are_not_used(meshes, weights_of, tmp_path, monkeypatch):
    from lagem.evaluation.reconstruction import run

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run, "write_card", interrupted)
        evaluate(weights_of(1.0), meshes, tmp_path / "card", **SMALL)
    summary = evaluate(weights_of(-1.0), meshes, tmp_path / "card", **SMALL)
    assert len(summary.failed) == 3  # the new weights say outside everywhere


def interrupted(*args):
    raise KeyboardInterrupt


def test_an_unknown_split_names_the_known(with_training, weights, tmp_path):
    with pytest.raises(ValueError, match=r"no shape of split 'test'; use one of its splits: \['train', 'val'\]"):
        evaluate(weights, with_training, tmp_path / "card", split="test")


@pytest.mark.parametrize("kind", ["prepared", "meshes"])
def test_only_shapes_of_the_named_categories_are_scored(folder, meshes, weights, tmp_path, capsys, kind):
    data, category, ids = (folder, "balls", ["ball"]) if kind == "prepared" else (meshes, "boxes", ["brick", "cube"])
    words = ["evaluate", str(weights), str(data), "--output", str(tmp_path / "card"), "--split", "train", "--category"]
    settings = ["--points", "500", "--resolution", "16"]
    main([*words, category, *settings])
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    assert sorted(score["id"].rpartition("__")[2] for score in card["scores"]) == ids
    assert card["about"]["categories"] == category
    capsys.readouterr()
    main([*words, category, *settings, "--status"])
    assert capsys.readouterr().out.endswith(" 0 missing\n")
    with pytest.raises(SystemExit) as stop:
        main([*words, "chairs", *settings])
    error = capsys.readouterr().err
    assert (
        stop.value.code == 2 and error.count("\n") == 1 and "no shape of category 'chairs' to evaluate; it has" in error
    )
