"""Tests of cod-vae in benchmarks/comparison.py: its training shapes, its training cost, and scores of its fields."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lagem.cli import main
from toy_shapes import prepare_toys

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import comparison
import comparison_codvae as codvae
import comparison_codvae_scores as scores
import comparison_codvae_worker as worker
from comparison_table import values_of


class Draws:
    """A stub for a data set of cod-vae: item `index` is the pair (index, epoch), so a test sees each item's epoch."""

    num_vol_queries = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, self.epoch


@pytest.mark.parametrize("length", [3, 5, 12])
def test_every_pass_sees_each_shape_once_and_no_draw_is_repeated(length):
    windows = worker.Windows(Draws(), count=5, length=length, seed=0)
    drawn = []
    for epoch in range(20):
        windows.set_epoch(epoch)
        drawn += [windows[index] for index in range(len(windows))]
    assert len(set(drawn)) == len(drawn) == 20 * length
    shapes = [index % 5 for index, _ in drawn]
    passes = [shapes[start : start + 5] for start in range(0, 20 * length, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes) and len(set(map(tuple, passes))) > 1


def test_both_stages_together_cost_what_lagem_costs():
    costs = {"LaGeM": [0.3, 0.6], codvae.cost_of(1): [0.2, 0.4], codvae.cost_of(2): [0.1, 0.2]}
    steps = comparison.equal_cost_steps(6600, {"LaGeM": costs["LaGeM"], "cod-vae": codvae.average_step(costs)})[
        "cod-vae"
    ]
    run = codvae.sides([1e-3])[0].run(0, steps, Path("out"))
    assert run.steps % codvae.WHOLE == 0
    first, second = (run.steps * stage.share // worker.SHARES for stage in worker.STAGES)
    assert first + second == run.steps and 0.2 * first + 0.1 * second == pytest.approx(0.3 * 6600, rel=0.01)
    shapes = [count * stage.batch for count, stage in zip((first, second), worker.STAGES, strict=True)]
    assert shapes[0] == 2 * shapes[1]  # as in the recipe of cod-vae


def test_a_training_counts_the_epochs_that_are_saved(tmp_path):
    run = codvae.sides([1e-3])[0].run(0, 1000, tmp_path)
    (run.folder / "stage_1").mkdir(parents=True)
    assert run.done == 0
    for epoch in range(3):
        (run.folder / "stage_1" / f"checkpoint_epoch_{epoch:04d}.npz").touch()
    assert run.done == 3 * 80
    run.checkpoint.touch()
    assert run.done == 1000


def test_a_field_is_scaled_from_its_box_and_all_beyond_the_box_is_outside():
    field = scores.field_in_sphere(lambda points: points[:, 0] + 0.5, 1.25)
    points = torch.tensor([[0.4, 0, 0], [-0.5, 0, 0], [0.9, 0, 0], [0, 0.9, 0], [-0.9, 0, 0]])
    assert field(points).tolist() == pytest.approx([1.0, -0.125, -1.5, -0.5, -0.5])


def test_a_shape_with_too_few_queries_is_named_before_the_training(tmp_path):
    data, shapes = prepare_toys(tmp_path), tmp_path / "shapes"
    main(["export", str(data), "--layout=vecset", f"--output={shapes}"])
    points = {"num_vol_queries": 500, "num_near_queries": 500}
    worker.check_pools(shapes, [("toys", "brick")], points)
    with pytest.raises(ValueError, match=r"brick: cod-vae draws 90,000 queries, .* larger --near"):
        worker.check_pools(shapes, [("toys", "brick")], points | {"num_near_queries": 90_000})


class Ball:
    """A model that decodes the ball whose radius is the largest coordinate of the encoded points."""

    def encode(self, points):
        return np.array([[np.abs(points).max()]])

    def decode(self, latents, queries, chunk_size):
        return latents[0] - np.linalg.norm(queries, axis=-1).astype(np.float32)


def test_a_field_of_its_box_is_scored_on_the_card_of_the_other_sides(tmp_path):
    data = prepare_toys(tmp_path)
    (tmp_path / "weights.npz").write_bytes(b"a ball")
    method = scores.CodvaeMethod(Ball(), tmp_path / "weights.npz", num_surface_points=2000, points=2000, resolution=32)
    scores.score(method, data, tmp_path / "card", 2000)
    main(["evaluate", "retrieval", str(data), f"--output={tmp_path / 'retrieval'}", "--points=2000", "--resolution=32"])
    values, retrieved = (values_of([tmp_path / name]) for name in ("card", "retrieval"))
    ids = sorted(score["id"] for score in json.loads((tmp_path / "card" / "card.json").read_text())["scores"])
    ball = ids.index("again")
    assert ids == ["again", "nearly", "torus"] and values["iou"].shape == retrieved["iou"].shape
    assert values["iou"][0, ball] > 0.95 and values["iou"][0].argmax() == values["chamfer"][0].argmin() == ball


@pytest.mark.parametrize(
    "script", [None, "#!/bin/sh\necho a traceback >&2\necho No module named cod_vae >&2\nexit 1\n"]
)
def test_a_missing_environment_is_one_line_that_says_how_to_make_it(script, tmp_path, monkeypatch, capsys):
    data = prepare_toys(tmp_path)
    python = tmp_path / "python"
    if script:
        python.write_text(script)
        python.chmod(0o755)
    words = ["--data", str(data), "--output", str(tmp_path / "made"), "--quick", "--codvae", str(python)]
    monkeypatch.setattr("sys.argv", ["comparison.py", *words])
    with pytest.raises(SystemExit) as stop:
        comparison.main()
    error = capsys.readouterr().err
    assert stop.value.code == 2 and len(error.splitlines()) == 1 and "make cod-vae" in error and "--codvae" in error
    assert ("No module named cod_vae" in error) == (script is not None)
