"""Tests of benchmarks/table4.py: settings differ as in the paper, and only the given categories are scored."""

import json
import sys
from pathlib import Path

import pytest

from lagem.cli import main
from lagem.evaluation.card_head import ReconstructionHead
from lagem.evaluation.reconstruction.card import write_card
from lagem.evaluation.reconstruction.score import ShapeScore
from lagem.evaluation.reconstruction.summary import summarise
from toy_shapes import prepare_toys

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import comparison_runs
import table4


def test_one_side_trains_on_all_categories_and_the_others_on_the_group():
    vecset, group, whole = table4.sides_of(["a", "b"])
    assert vecset.options == group.options == ("--data.init_args.categories=[a,b]",) and whole.options == ()
    assert (vecset.experiment, group.experiment, whole.experiment) == ("vecset", "lagem", "lagem")


def card(folder: Path, values: dict[str, list[float]]) -> Path:
    scores = [
        ShapeScore(id=f"{category}{number}", category=category, chamfer=value / 100, fscore_020=1 - value / 100)
        for category, of in values.items()
        for number, value in enumerate(of)
    ]
    write_card(folder, scores, summarise(scores), ReconstructionHead(points=1))
    return folder


def test_rows_are_means_of_categories_over_shapes_and_seeds_with_differences_from_the_first_side(tmp_path):
    first = [card(tmp_path / "a0", {"x": [1, 3], "y": [10]}), card(tmp_path / "a1", {"x": [2, 6], "y": [20]})]
    header, x, y, mean = table4.category_rows({"A": first, "B": [card(tmp_path / "b", {"x": [1, 2], "y": [16]})]})
    assert header[:4] == ["", "Chamfer ×100: A", "Chamfer ×100: B", "Chamfer ×100: Δ"]
    assert x[:4] == ["x", "3.00", "1.50", "-1.50"] and y[:4] == ["y", "15.00", "16.00", "+1.00"]
    assert mean == ["mean", "9.00", "8.75", "-0.25", "91.00", "91.25", "+0.25"]


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Return a function that runs the quick benchmark in this process and returns the `lagem` commands it ran."""
    data = prepare_toys(tmp_path)

    def run(*words: str) -> list[list[str]]:
        commands: list[list[str]] = []

        def in_this_process(command, log, watch=lambda: None):
            commands.append(list(command))
            watch()
            main(list(command))

        monkeypatch.setattr(comparison_runs, "run_lagem", in_this_process)
        out = tmp_path / "table"
        common = ["--data", str(data), "--output", str(out), "--quick", "--seeds", "0", "--group", "toys"]
        monkeypatch.setattr("sys.argv", ["table4.py", *common, *words])
        table4.main()
        return commands

    return run


@pytest.mark.slow
def test_a_quick_table_scores_the_group_and_does_nothing_twice(quick, tmp_path, capsys):
    assert [words[0] for words in quick()] == ["fit", "evaluate"] * 3
    rows = json.loads((tmp_path / "table" / "table4.json").read_text())
    assert [row["side"] for row in rows] == ["LaGeM on all", "LaGeM on the group", "VecSet on the group"]
    text = (tmp_path / "table" / "table4.md").read_text()
    assert "| toys |" in text and "| LaGeM on all minus VecSet on the group |" in text and "95% interval" in text
    configs = {path.parts[-3]: path.read_text() for path in (tmp_path / "table").glob("*/*/config.yaml")}
    assert {name: "- toys" in config for name, config in configs.items()} == {
        "lagem_on_all": False, "lagem_on_the_group": True, "vecset_on_the_group": True
    }  # fmt: skip
    cards = list((tmp_path / "table").glob("*/*/evaluation_mean/card.json"))
    assert {json.loads(path.read_text())["about"]["categories"] for path in cards} == {"toys"}
    assert quick() == [] and (tmp_path / "table" / "table4.md").read_text() == text
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        quick("--group", "balls", "toys")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and len(error.splitlines()) == 1 and "group" in error
