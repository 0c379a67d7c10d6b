"""Tests of benchmarks/comparison.py: compared models differ only in their levels, and finished work is not repeated."""

import argparse
import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml

from lagem.cli import main
from toy_shapes import prepare_toys

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import comparison
import comparison_codvae
import comparison_runs
from comparison_runs import EXPERIMENTS, ROOT, Run, Side
from comparison_table import MEASURES, rows_of

SETTINGS = {path.stem: yaml.safe_load(path.read_text()) for path in EXPERIMENTS.glob("*.yaml")}


def test_the_sides_differ_in_their_levels_alone_and_have_the_same_depth():
    levels = {name: settings["model"]["init_args"].pop("levels") for name, settings in SETTINGS.items()}
    for name, settings in SETTINGS.items():
        assert settings["trainer"].pop("default_root_dir").endswith(name)
    assert all(settings == SETTINGS["lagem"] for settings in SETTINGS.values())
    assert {sum(level["depth"] for level in of) for of in levels.values()} == {6}
    assert {of[0]["num_latents"] for of in levels.values()} == {256} and len(levels["lagem"]) == 3
    assert levels["vecset"] == [levels["one_level"][0] | {"bottleneck": "kl"}]
    assert {side.experiment for side in comparison.LEVELS} == set(levels)


def test_equal_cost_gives_more_steps_to_the_side_whose_steps_cost_less():
    costs = {"LaGeM": [2.0, 4.0, 2.2], "VecSet": [1.6, 3.2, 1.76]}  # the second round was slow for both
    assert comparison.equal_cost_steps(1000, costs) == {"LaGeM": 1000, "VecSet": 1250}


def test_at_least_five_rates_of_adamw_are_compared_with_muon():
    muon, *others = comparison.adamw_sides(comparison.RATES)
    assert muon.options == () and len({side.name for side in others}) >= 5
    rates = [float(side.options[1].rpartition("=")[2]) for side in others]
    assert min(rates) < SETTINGS["lagem"]["model"]["init_args"]["base_lr"] < max(rates)


def values(shift: float) -> dict[str, np.ndarray]:
    return {measure: np.array([[0.1, 0.2, np.nan], [0.3, 0.4, 0.5]]) + shift for measure in MEASURES}


def test_differences_are_paired_and_a_shape_that_a_seed_lacks_is_left_out():
    header, first, second, less = rows_of("all", {"A": values(0.5), "B": values(0.0)}, {"A": 7, "B": None})
    iou, chamfer = header.index("IoU"), header.index("Chamfer ×100")
    assert first[:3] == ["A", "7", "0.5"] and second[:2] == ["B", "–"]
    assert first[iou].startswith("0.750 [") and second[chamfer].startswith("25.00 [")
    assert less[0] == "A minus B" and less[iou] == "+0.500 [+0.500, +0.500]"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return prepare_toys(tmp_path_factory.mktemp("toys"))


@pytest.fixture
def quick(data, tmp_path, monkeypatch):
    """Return a function that runs the quick comparison in this process and returns the `lagem` commands it ran."""

    def run(*words: str) -> list[list[str]]:
        commands: list[list[str]] = []

        def in_this_process(command, log, watch=lambda: None):
            commands.append(list(command))
            watch()
            main(list(command))

        for module in (comparison_runs, comparison_codvae):
            monkeypatch.setattr(module, "run_lagem", in_this_process)
        common = ["--data", str(data), "--output", str(tmp_path / "out"), "--quick", "--seeds", "0"]
        monkeypatch.setattr("sys.argv", ["comparison.py", *common, *words])
        comparison.main()
        return commands

    return run


@pytest.mark.slow
def test_a_quick_comparison_scores_every_side_and_does_nothing_twice(quick, tmp_path, capsys):
    first = quick()
    assert {words[0] for words in first} == {"fit", "evaluate"}
    tables = json.loads((tmp_path / "out" / "levels.json").read_text())
    sides = ["LaGeM", "VecSet, mean", "VecSet, sample", "one level", "retrieval"]
    assert [row["side"] for row in tables] == 2 * sides
    assert [row["steps"] for row in tables[5:]] == [4, 4, 4, 4, None]
    assert "h 00 min left" in capsys.readouterr().out
    written = (tmp_path / "out" / "levels.md").read_text()
    assert "| LaGeM minus VecSet, sample |" in written and "95% interval" in written

    assert quick() == []
    (card,) = (tmp_path / "out" / "vecset").glob("4_steps_seed_0/evaluation_sample/card.json")
    card.unlink()
    (again,) = quick()
    assert again[:1] == ["evaluate"] and again[-1] == "--posterior=sample"
    assert (tmp_path / "out" / "levels.md").read_text() == written


@pytest.mark.slow
def test_cod_vae_joins_a_finished_comparison_and_resumes(quick, tmp_path):
    python = ROOT / ".venv-cod-vae" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs cod-vae: make cod-vae")
    quick()
    out = tmp_path / "out"
    settings = (out / "settings.json").read_text()
    words = ("--codvae", str(python), "--codvae-rates", "0.001")
    assert [command[0] for command in quick(*words) if command[0] != "fit"] == ["export"]
    (weights,) = out.glob("cod-vae_0.001/*_steps_seed_0/weights.npz")
    assert [path.name for path in weights.parent.glob("stage_*")] == []
    rows = json.loads((out / "levels.json").read_text())
    sides = {
        basis: [row["side"] for row in rows if row["table"].startswith(basis)] for basis in ("equal cost", "equal")
    }
    assert sides["equal cost"][-2:] == ["cod-vae 0.001", "retrieval"] and sides["equal"].count("cod-vae 0.001") == 1
    (row,) = (row for row in rows if row["side"] == "cod-vae 0.001")
    assert row["steps"] % comparison_codvae.WHOLE == 0 and row["means"]["iou"] is not None
    written = (out / "levels.md").read_text()
    assert "cod-vae 1.0.0" in written and "GiB of memory" in written and "32 values a shape" in written
    assert (out / "settings.json").read_text() == settings

    stamp = weights.stat().st_mtime_ns
    assert quick(*words) == [] and weights.stat().st_mtime_ns == stamp
    assert (out / "levels.md").read_text() == written


def test_other_settings_are_refused_in_one_line(quick, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_text('{"quick": false}')
    with pytest.raises(SystemExit) as stop:
        quick()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and len(error.splitlines()) == 1 and "quick" in error and "--output" in error


@pytest.mark.slow
def test_a_quick_sweep_of_adamw_is_compared_with_muon(quick, tmp_path):
    quick("--adamw", "0.01", "0.1")
    tables = json.loads((tmp_path / "out" / "adamw.json").read_text())
    assert {row["side"] for row in tables} == {"LaGeM", "AdamW 0.01", "AdamW 0.1", "retrieval"}
    costs = json.loads((tmp_path / "out" / "costs_adamw.json").read_text())
    assert set(costs) == {"LaGeM", "AdamW"} and all(len(seconds) == 2 for seconds in costs.values())
    config = next((tmp_path / "out" / "adamw_0.1").glob("*/config.yaml")).read_text()
    assert "optimizer: adamw" in config and "base_lr: 0.1" in config


@pytest.mark.slow
def test_a_training_that_is_interrupted_has_saved_and_resumes(data, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison_runs, "REPORT_EVERY", 0.05)
    args = argparse.Namespace(data=data, device="cpu", quick=True, options=["--trainer.log_every_n_steps=1"])
    run = Run(Side("LaGeM", "lagem", "LaGeM"), 0, 200, tmp_path)
    has_logged = threading.Event()

    def watch():
        if any(log.read_text().count("\n") > 5 for log in run.folder.glob("logs/*/metrics.csv")):
            has_logged.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(args, watch)
    assert has_logged.is_set() and 0 < run.done < 200
    run.train(args, lambda: None)
    assert run.done == 200


@pytest.mark.slow
def test_a_command_that_fails_names_its_log_and_last_line(tmp_path):
    with pytest.raises(ValueError, match=r"`lagem fit` failed with exit code 2; see .*log.txt. It ends: lagem: error:"):
        comparison_runs.run_lagem(["fit", "--config=missing.yaml"], tmp_path / "log.txt")
