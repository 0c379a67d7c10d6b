"""Tests of EarlyWarnings: each sign of trouble gives one warning, and a training that learns gives none."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import small_run
from lagem.callbacks.early_warnings import EarlyWarnings
from lagem.cli import main
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.samples import OccupancyBatch


def batch(shapes: int = 3) -> OccupancyBatch:
    rng = torch.Generator().manual_seed(0)
    points = [torch.rand(shapes, count, 3, generator=rng) for count in (64, 16, 16)]
    labels = torch.ones(shapes, 16)
    return OccupancyBatch(["a"] * shapes, ["b"] * shapes, points[0], points[1], labels, points[2], labels, [])


def run(callback: EarlyWarnings, network: nn.Module, losses: list[float], init_from: str | None = None) -> None:
    module = SimpleNamespace(network=network, device_mesh=None, init_from=init_from)
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, accumulate_grad_batches=1)
    callback.on_train_start(trainer, module)
    for step, loss in enumerate(losses):
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, {"loss": torch.tensor(loss)}, batch(), step)


def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(levels=[LevelSpec(16, 4, depth=1), LevelSpec(4, 6, depth=1)], width=64)


def test_a_flat_loss_is_reported_once(capsys):
    run(EarlyWarnings(after=120, every=1000), network(), [0.7] * 300)
    (line,) = capsys.readouterr().err.splitlines()
    assert "flat" in line


@pytest.mark.parametrize(
    ("losses", "init_from"), [([0.7 * 0.999**step for step in range(300)], None), ([1.1] * 300, "autoencoder")]
)
def test_a_falling_loss_and_a_trained_start_raise_no_warning(losses, init_from, capsys):
    run(EarlyWarnings(after=120, every=1000), network(), losses, init_from)
    assert capsys.readouterr().err == ""


def test_a_level_that_is_not_used_is_reported_once(capsys):
    made = network()
    nn.init.zeros_(made.bottlenecks[1].up.weight)
    run(EarlyWarnings(after=120, every=1), made, [0.3] * 5)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "level 2 is not used" in lines[0]


def test_collapsed_latents_are_reported(capsys):
    made = network()
    with torch.no_grad():
        for block in made.downsample:
            for parameter in block.parameters():
                parameter.zero_()
        made.point_embedding.linear.weight.zero_()
    run(EarlyWarnings(after=120, every=1), made, [0.3] * 5)
    assert "latents of level 1 are the same" in capsys.readouterr().err


def test_fit_has_the_warnings_and_trains_the_same_without_them(tmp_path, capsys):
    every = "--trainer.callbacks+={class_path: EarlyWarnings, init_args: {every: 1}}"
    curves = [
        (
            main(small_run.small_fit(tmp_path / name, *extra)),
            (tmp_path / name / "logs/version_0/metrics.csv").read_text(),
        )
        for name, extra in (("default", []), ("often", [every]))
    ]
    assert curves[0][1] == curves[1][1]
    assert any(isinstance(callback, EarlyWarnings) for callback in curves[0][0].trainer.callbacks)
