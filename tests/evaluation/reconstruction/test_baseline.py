"""Retrieval is scored like a reconstruction, and a card has three means of each score.

One mean is over all shapes, one over the 10% of the shapes that are nearest to training shapes, and one over the other
shapes.
"""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from lagem.cli import main
from lagem.evaluation.reconstruction.examples import examples
from lagem.evaluation.reconstruction.run import evaluate
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from lagem.geometry.picture import EMPTY
from lagem.prepared.records import read_records


def scored(id: str, value: float, distance: float | None = None) -> ShapeScore:
    return ShapeScore(id=id, category="c", fscore_020=value, nearest_train_distance=distance)


def test_retrieval_of_a_copy_scores_at_the_floor_and_of_another_shape_above_it(with_training, tmp_path, capsys):
    main(["evaluate", "retrieval", str(with_training), "--output", str(tmp_path / "card")])
    assert "… nearest tenth alone" in capsys.readouterr().out.replace("\n", " ")
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    scores = {score["id"]: score for score in card["scores"]}
    again, torus = scores["again"], scores["torus"]
    assert again["nearest_train"] == "ball" and again["chamfer"] == pytest.approx(again["floor"], rel=0.06)
    assert again["normal_consistency"] > 0.99 and again["iou"] is None and again["iou_near"] is None
    assert torus["chamfer"] == pytest.approx(torus["nearest_train_distance"]) and torus["chamfer"] > 3 * torus["floor"]
    area = read_records(with_training)[torus["nearest_train"]].measures.area
    assert torus["floor"] == pytest.approx(np.sqrt(area / 5_000), rel=1e-6)
    text = (tmp_path / "card" / "card.md").read_text()
    assert "weights: none" in text and "Retrieved shapes have no IoU" in text and "Marching cubes" not in text


def test_retrieved_points_are_no_more_than_requested(with_training, tmp_path):
    few, all_ = (
        evaluate(None, with_training, tmp_path / str(points), points=points).over_shapes for points in (100, 100_000)
    )
    assert few["chamfer"].value > 2 * all_["floor"].value > 0 and few["floor"].value > 2 * all_["floor"].value


def test_an_evaluation_names_the_nearest_training_shape_and_gives_three_means(with_training, weights, tmp_path):
    evaluate(weights, with_training, tmp_path / "card", points=500, resolution=16)
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "card" / "scores.csv").open())}
    assert rows["again"]["nearest_train"] == "ball" and float(rows["again"]["nearest_train_distance"]) < 0.06
    (nearest,) = [score for score in card["scores"] if score["id"] == "again"]
    assert card["nearest"]["chamfer"]["value"] == nearest["chamfer"] and card["nearest"]["chamfer"]["count"] == 1
    others = [score["chamfer"] for score in card["scores"] if score["id"] != "again"]
    assert card["without_nearest"]["chamfer"]["value"] == pytest.approx(np.mean(others))
    text = (tmp_path / "card" / "card.md").read_text()
    assert "| … without nearest tenth | 2 |" in text and "may be leaks" in text


def test_the_training_set_itself_has_no_nearest_tenth_and_the_card_says_so(with_training, weights, tmp_path):
    summary = evaluate(weights, with_training, tmp_path / "card", split="train", points=500, resolution=16)
    assert summary.nearest == summary.without_nearest == {}
    text = (tmp_path / "card" / "card.md").read_text()
    assert "not searched for, as the training set itself is evaluated" in text and "nearest tenth" not in text


def test_retrieval_without_a_training_set_to_retrieve_from_is_one_line(folder, tmp_path, capsys):
    for arguments in ([str(folder), "--split", "train"], [str(folder.parent / "with.ply")]):
        (folder.parent / "with.ply").touch()
        with pytest.raises(SystemExit) as stop:
            main(["evaluate", "retrieval", *arguments, "--output", str(tmp_path / "card")])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "retrieval returns the nearest training shape" in error
    assert not (tmp_path / "card").exists()


def test_the_nearest_tenth_is_rounded_up_and_the_means_add_up():
    scores = [scored(str(number), number / 10, distance=0.1 * (11 - number)) for number in range(11)]
    summary = summarise(scores)
    assert summary.nearest["fscore_020"].count == 2 and summary.nearest["fscore_020"].value == pytest.approx(0.95)
    together = 2 * summary.nearest["fscore_020"].value + 9 * summary.without_nearest["fscore_020"].value
    assert together / 11 == pytest.approx(summary.over_shapes["fscore_020"].value)


def test_a_single_shape_is_its_own_nearest_tenth():
    summary = summarise([scored("a", 0.5, distance=0.1)])
    assert summary.nearest["fscore_020"].value == 0.5 and summary.without_nearest == {}


def test_examples_are_the_worst_the_median_and_the_best():
    chosen = examples([scored(f"{number:02d}", number) for number in np.random.default_rng(0).permutation(20)])
    found = {kind: [score.id for score in shown] for kind, shown in chosen.items()}
    assert found == {
        "worst": ["00", "01", "02", "03"],
        "median": ["08", "09", "10", "11"],
        "best": ["16", "17", "18", "19"],
    }
    assert {len(shown) for shown in examples([scored("a", 1.0), scored("b", 0.0)]).values()} == {2}


@pytest.mark.parametrize(("logit", "missing"), [(1.0, False), (-1.0, True)])
def test_the_tile_of_a_result_without_a_surface_is_grey(with_training, weights_of, tmp_path, logit, missing):
    evaluate(weights_of(logit), with_training, tmp_path / "card", points=500, resolution=16)
    picture = np.asarray(Image.open(tmp_path / "card" / "examples.png"))
    grey = (picture == EMPTY).all(axis=2).sum()
    tiles = 3  # each shape is shown once
    assert (grey > 0.9 * tiles * 280**2) == missing
    assert ((picture < 200).any(axis=2)).mean() > 0.05
