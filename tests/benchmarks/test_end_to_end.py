"""Tests of benchmarks that run whole fits: end_to_end.py with its profiler, scaling.py and loss_curves.py."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import small_run
from lagem.cli import main

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import loss_curves
import scaling
from end_to_end import EXPERIMENTS, projected, row_of, shares
from sections import INSIDE, section_of


@pytest.fixture(scope="module")
def fit(tmp_path_factory) -> tuple[dict[str, list[float]], float]:
    """Run a small fit; return the seconds of each section, and the wall-clock seconds of the whole command.

    A section is a part of the work, such as "forward" or "data"; it has wall-clock seconds and CPU seconds.
    """
    folder = tmp_path_factory.mktemp("fit")
    profiler = (
        f"--trainer.profiler={{class_path: sections.Sections, init_args: {{output: {folder / 'sections.json'}}}}}"
    )
    start = time.perf_counter()
    main(small_run.small_fit(folder / "run", profiler))
    return json.loads((folder / "sections.json").read_text()), time.perf_counter() - start


def test_each_moment_of_a_fit_belongs_to_one_section(fit):
    sections, wall = fit
    callbacks = {"LogGeometryMetrics", "ExportMeshes", "EMAWeightAveraging", "ModelCheckpoint"}
    assert set(INSIDE) | callbacks | {"data", "loop and logging", "validation loss", "start and end"} <= set(sections)
    assert all(spent >= 0 for clocks in sections.values() for spent in clocks)
    assert 0 < sum(spent for spent, _ in sections.values()) < wall


@pytest.mark.parametrize(
    ("action", "section"),
    [
        ("[Strategy]SingleDeviceStrategy.training_step", "forward"),
        ("[Strategy]DDPStrategy.backward", "backward"),
        ("[LightningModule]AutoencoderModule.optimizer_step", "optimiser"),
        ("[LightningModule]AutoencoderModule.on_before_optimizer_step", None),  # within optimizer_step
        ("[_TrainingEpochLoop].train_dataloader_next", "data"),
        ("[Callback]ModelCheckpoint{'monitor': None, 'mode': 'min', 'a.b': 1}.on_train_batch_end", "ModelCheckpoint"),
        ("[Callback]LogGeometryMetrics.on_validation_epoch_end", "LogGeometryMetrics"),
    ],
)
def test_actions_of_lightning_have_their_section(action, section):
    assert section_of(action) == section


def test_steps_and_validations_are_projected_and_the_start_is_not():
    seconds = {"forward": (2.0, 1.0), "ExportMeshes": (3.0, 3.0), "start and end": (5.0, 4.0)}
    whole = projected(seconds, steps=10, all_steps=100, validations=2)
    assert whole == {"forward": (20.0, 10.0), "ExportMeshes": (6.0, 6.0), "start and end": (5.0, 4.0)}


def test_inside_is_the_share_of_forward_backward_and_optimiser():
    seconds = {"forward": (2.0, 1.0), "backward": (3.0, 1.0), "optimiser": (1.0, 9.0), "data": (4.0, 0.0)}
    assert shares(seconds)["inside"] == pytest.approx(0.6) and shares(seconds)["data"] == pytest.approx(0.4)


@pytest.mark.parametrize("path", EXPERIMENTS.values())
def test_a_fit_of_all_steps_is_not_projected(path):
    seconds = {"forward": (2.0, 1.0), "backward": (3.0, 1.0), "optimiser": (1.0, 9.0), "data": (4.0, 0.0)}
    row = row_of("any", scaling.ROOT / path, [seconds, seconds], None)
    assert row["share"] == row["share_at_full_length"] and row["steps"] == row["all_steps"] > 0


def test_each_axis_changes_its_size_alone():
    base = scaling.SETTINGS["quick"]
    assert scaling.SIZES["latents"](base, 2.0) == replace(base, latents=(64, 16, 8))
    assert scaling.SIZES["points"](base, 0.5) == replace(base, num_surface_points=64)
    assert scaling.SIZES["queries"](base, 2.0) == replace(base, num_queries=128)
    assert scaling.SIZES["batch"](base, 2.0) == base


@pytest.mark.slow
def test_a_step_is_measured_at_half_and_twice_the_size(tmp_path, monkeypatch):
    options = ["--axes", "batch", "--setting", "quick", "--rounds", "1", "--output", str(tmp_path / "rows.json")]
    monkeypatch.setattr("sys.argv", ["scaling.py", *options])
    scaling.main()
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["axis"], row["factor"], row["batch"]) for row in rows] == [("batch", b / 2, b) for b in (1, 2, 4)]
    assert rows[0]["operations"] < rows[1]["operations"] < rows[2]["operations"]
    assert all(row["peak_bytes"] > 0 and len(row["seconds"]) == 1 for row in rows)


def test_differences_of_losses_are_drawn_at_their_power_of_ten():
    differences = {"lean": np.full(50, 1e-3), "leanest": np.zeros(50)}
    picture = loss_curves.drawn(differences)
    lines = {name: np.argwhere((picture[40:] == colour).all(axis=2)) for name, colour in loss_curves.COLOURS.items()}
    height, (low, high) = loss_curves.SIZE[1], loss_curves.DECADES
    assert abs(np.median(lines["lean"][:, 0]) + 40 - height * (high + 3) / (high - low)) <= 2
    assert lines["leanest"][:, 0].min() + 40 >= height - 2  # equal losses lie at the bottom
