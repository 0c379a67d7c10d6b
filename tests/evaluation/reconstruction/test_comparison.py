"""`lagem compare` gives the differences of paired scores with intervals, and refuses evaluations that do not match."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from PIL import Image

from lagem.cli import main
from lagem.evaluation.bar_chart import COLOURS, LENGTH
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.card import write_card
from lagem.evaluation.reconstruction.comparison import compare
from lagem.evaluation.reconstruction.methods import NO_WEIGHTS
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise

ABOUT = {
    "weights": "a.ckpt",
    "data": "meshes",
    "truth": "prepared",
    "split": "val",
    "index's sha256": "abc",
    "points": 500,
    "resolution": 64,
    "seed": 0,
}


def card(folder: Path, scores: list[ShapeScore], **changes) -> Path:
    about = {key: value for key, value in {**ABOUT, **changes}.items() if value is not None}
    write_card(folder, scores, summarise(scores), ReconstructionHead.from_card(about))
    return folder


def made(values, *, chamfer=None, distance=None) -> list[ShapeScore]:
    return [
        ShapeScore(
            id=f"{number:03d}",
            category="c",
            fscore_020=float(value),
            chamfer=chamfer[number] if chamfer else None,
            nearest_train_distance=None if distance is None else distance[number],
        )
        for number, value in enumerate(values)
    ]


def test_the_difference_and_its_interval_are_those_of_the_pairs(tmp_path):
    rng = np.random.default_rng(0)
    hardness, gain = rng.normal(size=300), 0.1 + 0.05 * rng.normal(size=300)
    first = card(tmp_path / "first", made(hardness))
    (found,) = compare([first, card(tmp_path / "second", made(hardness + gain), weights="b.ckpt")])
    difference = found.over_shapes["fscore_020"].difference
    assert difference.value == pytest.approx(gain.mean()) and difference.count == 300
    assert (difference.high - difference.low) / 2 == pytest.approx(1.96 * gain.std() / np.sqrt(300), rel=0.1)
    assert found.over_shapes["fscore_020"].first == pytest.approx(hardness.mean())


def test_a_missing_surface_is_an_f_score_of_zero_and_no_pair_of_chamfer_distances(tmp_path):
    first = card(tmp_path / "first", made([0.5, 0.5, 0.5], chamfer=[0.1, 0.2, 0.3]))
    (found,) = compare([first, card(tmp_path / "second", made([0.8, 0, 0.5], chamfer=[0.2, None, 0.3]))])
    assert found.over_shapes["fscore_020"].difference.value == pytest.approx(-0.2 / 3)
    chamfer = found.over_shapes["chamfer"]
    assert (chamfer.difference.count, chamfer.left_out) == (2, 1)
    assert chamfer.first == pytest.approx(0.2) and chamfer.difference.value == pytest.approx(0.05)
    assert "iou" not in found.over_shapes


def test_a_second_difference_leaves_out_the_nearest_tenth(tmp_path):
    distance = [0.3, 0.01, *[0.5] * 8]
    first = card(tmp_path / "first", made([0.0] * 10, distance=distance))
    (found,) = compare([first, card(tmp_path / "second", made([0.0, 1.0, *[0.0] * 8], distance=distance))])
    assert found.over_shapes["fscore_020"].difference.value == pytest.approx(0.1)
    assert found.without_nearest["fscore_020"].difference.value == 0
    assert found.without_nearest["fscore_020"].difference.count == 9


def test_shapes_that_only_one_has_are_counted_and_not_compared(tmp_path):
    first = card(tmp_path / "first", made([0.1, 0.2, 0.3]))
    (found,) = compare([first, card(tmp_path / "second", made([0.2, 0.3]))])
    assert (found.shapes, found.unpaired, found.without_nearest) == (2, 1, {})
    assert found.over_shapes["fscore_020"].first == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index's sha256", "xyz"),
        ("split", "test"),
        ("points", 100),
        ("resolution", 32),
        ("seed", 1),
        ("truth", "input"),
    ],
)
def test_evaluations_of_different_things_are_refused_with_what_differs(name, value, tmp_path, capsys):
    first, second = card(tmp_path / "a", made([0.5])), card(tmp_path / "b", made([0.5]), **{name: value})
    with pytest.raises(SystemExit) as stop:
        main(["compare", str(first), str(second)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{name} is {ABOUT[name]!r} in the first and {value!r} in the second" in error


def test_the_same_shapes_under_another_path_are_compared_and_other_meshes_are_not(tmp_path):
    first = card(tmp_path / "a", made([0.5]))
    assert compare([first, card(tmp_path / "b", made([0.5]), data="moved")])
    raw = card(tmp_path / "c", made([0.5]), **{"index's sha256": None})
    with pytest.raises(ValueError, match="data is 'meshes' in the first and 'others'"):
        compare([raw, card(tmp_path / "d", made([0.5]), **{"index's sha256": None, "data": "others"})])


def test_every_other_evaluation_is_compared_with_the_first_and_written(tmp_path, capsys):
    folders = [card(tmp_path / name, made([value] * 3)) for name, value in (("a", 0.1), ("b", 0.2), ("c", 0.4))]
    main(["compare", *map(str, folders), "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert (
        "+10.00" in printed
        and "+30.00" in printed
        and "a higher value of every other score" in " ".join(printed.split())
    )
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [(Path(one["first"]).name, Path(one["second"]).name) for one in content] == [("a", "b"), ("a", "c")]
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "| F@0.02 ×100 | 3 | 0 | 10.00 | 40.00 | +30.00 [+30.00, +30.00] |" in text


def test_several_trainings_are_paired_and_widen_the_interval_by_how_much_they_differ(tmp_path, capsys):
    rng = np.random.default_rng(0)
    hardness = rng.uniform(0.3, 0.6, size=50)
    gains = (0.1, 0.2, 0.0)
    for number, gain in enumerate(gains):
        card(tmp_path / "first" / str(number), made(hardness))
        card(tmp_path / "second" / str(number), made(hardness + gain), weights="b.ckpt")
    (found,) = compare([tmp_path / "first", tmp_path / "second"])
    difference = found.over_shapes["fscore_020"].difference
    assert found.trainings == 3 and difference.value == pytest.approx(0.1) and difference.count == 50
    half = scipy.stats.t.ppf(0.975, 2) * np.std(gains, ddof=1) / np.sqrt(3)
    assert (difference.low, difference.high) == pytest.approx((0.1 - half, 0.1 + half))
    main(["compare", str(tmp_path / "first"), str(tmp_path / "second")])
    assert "3 trainings, 50 shapes in both" in " ".join(capsys.readouterr().out.split())


def test_sides_with_different_numbers_of_evaluations_are_refused_unless_one_was_not_trained_and_has_one(tmp_path):
    for number in range(2):
        card(tmp_path / "first" / str(number), made([0.5] * 3))
    with pytest.raises(ValueError, match="evaluations differ: .* has 2, .* has 1; give folders with"):
        compare([tmp_path / "first", card(tmp_path / "one", made([0.5] * 3))])
    (found,) = compare([tmp_path / "first", card(tmp_path / "retrieval", made([0.7] * 3), weights=NO_WEIGHTS)])
    assert found.over_shapes["fscore_020"].difference.value == pytest.approx(0.2) and found.trainings == 2
    for number in range(3):
        card(tmp_path / "three" / str(number), made([0.7] * 3), weights=NO_WEIGHTS)
    with pytest.raises(ValueError, match="evaluations differ: .* has 2, .* has 3"):
        compare([tmp_path / "first", tmp_path / "three"])


def test_trainings_evaluated_with_other_settings_are_refused(tmp_path):
    card(tmp_path / "first" / "0", made([0.5]))
    card(tmp_path / "first" / "1", made([0.5]), resolution=32)
    with pytest.raises(ValueError, match="resolution is 64 in the first and 32 in the second"):
        compare([tmp_path / "first", tmp_path / "first"])


def test_every_category_has_a_row_and_a_bar_for_each_side(tmp_path):
    def of_categories(value: float) -> list[ShapeScore]:
        return [replace(score, category=f"c{number % 2}") for number, score in enumerate(made([value] * 4))]

    folders = [card(tmp_path / name, of_categories(value)) for name, value in (("a", 0.2), ("b", 0.5), ("c", 1.0))]
    main(["compare", *map(str, folders), "--output", str(tmp_path / "out")])
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content[0]["by_category"]["c1"]["fscore_020"]["difference"]["value"] == pytest.approx(0.3)
    assert (
        "| c1 | 2 | – | – | – | 20.00 | 50.00 | +30.00 [+30.00, +30.00] |"
        in (tmp_path / "out" / "comparison.md").read_text()
    )
    picture = np.array(Image.open(tmp_path / "out" / "categories.png"))
    lengths = [(picture[-len(picture) // 2 :] == colour).all(axis=2).sum(axis=1).max() for colour in COLOURS[:3]]
    assert lengths == pytest.approx([0.2 * LENGTH, 0.5 * LENGTH, LENGTH], abs=3)


def test_one_category_has_no_picture(tmp_path):
    folders = [card(tmp_path / name, made([0.5] * 3)) for name in "ab"]
    main(["compare", *map(str, folders), "--output", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["comparison.json", "comparison.md"]


def test_a_folder_without_a_card_and_a_damaged_card_are_one_line(tmp_path):
    first = card(tmp_path / "a", made([0.5]))
    with pytest.raises(ValueError, match="has no card.json; write it with `lagem evaluate"):
        compare([first, tmp_path / "none"])
    (first / "card.json").write_text('{"scores": [{"id": "x"}]}')
    with pytest.raises(ValueError, match=r"card.json: scores\[0\].category is missing, but must be a text"):
        compare([first, first])


def test_retrieval_and_a_network_on_the_same_shapes_can_be_compared(with_training, weights, tmp_path, capsys):
    options = ["--points", "500", "--resolution", "16"]
    for method in ("retrieval", str(weights)):
        main(["evaluate", method, str(with_training), "--output", str(tmp_path / Path(method).stem), *options])
    main(["compare", str(tmp_path / "retrieval"), str(tmp_path / "weights")])
    assert "without nearest tenth" in capsys.readouterr().out.split("pairs")[1].replace("\n", " ")
    (found,) = compare([tmp_path / "retrieval", tmp_path / "weights"])
    assert found.shapes == 3 and found.without_nearest["chamfer"].difference.count == 2
