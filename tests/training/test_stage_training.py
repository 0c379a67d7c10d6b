"""Stages trained on the command line generate shapes.

Kills do not change the weights of a stage, and two processes give the same losses as one with twice the batch size.
"""

import csv
from pathlib import Path

import numpy as np
import pytest

import small_cascade as small
import training_process
from lagem.cli import main
from lagem.weights.autoencoder import save_autoencoder
from small_run import short_trainer

ROOT = Path(__file__).resolve().parents[2]
STEPS = 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Make a latent cache, and store the autoencoder's weights next to it. Return the folder of the cache."""
    folder = tmp_path_factory.mktemp("cache")
    save_autoencoder(small.make_autoencoder(), folder / "autoencoder.safetensors", num_surface_points=small.POINTS)
    return small.make_cache(folder / "latents", small.make_autoencoder())


def small_fit(cache: Path, folder: Path, *extra: str, level: int = 2, steps: int = STEPS) -> list[str]:
    """Return the command line of a small fit in `folder`, with epochs of 8 steps."""
    return [
        "fit",
        f"--config={ROOT / 'experiments' / 'cascade' / 'toy' / f'level_{level}.yaml'}",
        *short_trainer(folder, steps),
        "--trainer.callbacks=[{class_path: EMAWeightAveraging, init_args: {decay: 0.9}},"
        " {class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 2, save_top_k: 1}}]",
        small.LEVELS_OPTION,
        "--model.init_args.width=64",
        "--model.init_args.depth=1",
        "--model.init_args.warmup_steps=null",
        f"--data.init_args.root={cache}",
        "--data.init_args.batch_size=4",
        *extra,
    ]


@pytest.mark.slow
def test_three_kills_leave_the_weights_of_the_undisturbed_run(cache, tmp_path):
    main(small_fit(cache, tmp_path / "whole"))
    command = small_fit(cache, tmp_path / "killed", "--ckpt_path=last", "--data.init_args.num_workers=1")
    reached = training_process.killed(command, tmp_path / "killed", 3)
    assert 0 < reached[0] < reached[1] < reached[2] < STEPS
    training_process.completed(command)
    training_process.assert_same_training(tmp_path / "whole", tmp_path / "killed")


def losses(folder: Path, metric: str) -> list[float]:
    with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
        return [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]


@pytest.mark.slow
def test_a_stage_shared_out_over_two_processes_trains_as_one_with_twice_the_batch(cache, tmp_path):
    """The two processes use FSDP2, and only rank zero exports samples."""
    callbacks = (
        "--trainer.callbacks=[{class_path: ExportSamples, init_args: {num_shapes: 2}},"
        " {class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 2, save_top_k: 1}}]"
    )
    adamw = "--model.init_args.optimizer=adamw"
    main(small_fit(cache, tmp_path / "one", callbacks, adamw, "--data.init_args.batch_size=8", steps=4))
    shared = [adamw, "--trainer.devices=2", "--trainer.strategy={class_path: ModelParallelStrategy}"]
    training_process.completed(small_fit(cache, tmp_path / "two", callbacks, *shared, steps=4))
    for metric in ("train/loss", "train/grad_norm", "val/loss"):
        one, two = (losses(tmp_path / name, metric) for name in ("one", "two"))
        assert one
        np.testing.assert_allclose(two, one, rtol=2e-4)
    assert len(list((tmp_path / "two" / "samples" / "step_4").glob("latents_*.safetensors"))) == 1


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(cache, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    main(small_fit(cache, one, "--data.init_args.batch_size=8", steps=4))
    training_process.completed(small_fit(cache, two, "--trainer.devices=2", "--trainer.strategy=ddp", steps=4))
    for metric in ("train/loss", "val/loss", "val/loss_sigma_1", "val/loss_sigma_8"):
        assert losses(one, metric)
        np.testing.assert_allclose(losses(one, metric), losses(two, metric), rtol=2e-4)


def test_trained_stages_become_a_bundle_that_generates(cache, tmp_path):
    for level in (3, 2, 1):
        main(small_fit(cache, tmp_path / f"level_{level}", level=level, steps=2))
    stages = [str(tmp_path / f"level_{level}" / "checkpoints" / "last.ckpt") for level in (3, 2, 1)]
    main(["bundle", str(cache.parent / "autoencoder.safetensors"), *stages, "--output", str(tmp_path / "cascade")])
    given = ["--category", "mug", "--count", "2", "--steps", "2", "--resolution", "16", "--guidance", "2"]
    main(["generate", str(tmp_path / "cascade"), *given, "--output", str(tmp_path / "shapes")])
    assert len((tmp_path / "shapes" / "samples.csv").read_text().splitlines()) == 3


def refusal(capsys, arguments: list[str]) -> str:
    """Run a command that must fail with exit code 2, and return its error line."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("lagem: error:")
    return message


def test_a_foreign_cache_is_refused_in_one_line_on_resuming_and_with_a_named_autoencoder(cache, tmp_path, capsys):
    main(small_fit(cache, tmp_path / "run", steps=2))
    foreign = small.make_cache(tmp_path / "latents", small.make_autoencoder(seed=1))
    resumed = small_fit(foreign, tmp_path / "run", "--ckpt_path=last", steps=4)
    assert "the checkpoint holds another stage: autoencoder" in refusal(capsys, resumed)
    named = f"--model.init_args.autoencoder={cache.parent / 'autoencoder.safetensors'}"
    message = refusal(capsys, small_fit(foreign, tmp_path / "other", named, steps=2))
    assert f"the latent cache {foreign} does not belong to this autoencoder" in message


def test_predict_writes_the_samples_of_a_stage_and_says_so_where_it_would_write_nothing(cache, tmp_path, capsys):
    main(small_fit(cache, tmp_path, steps=2))
    predict = ["predict", *small_fit(cache, tmp_path)[1:], "--ckpt_path=last"]
    assert "--trainer.callbacks+=ExportSamples" in refusal(capsys, predict)
    autoencoder = f"--model.init_args.autoencoder={cache.parent / 'autoencoder.safetensors'}"
    main([*predict, autoencoder, "--trainer.callbacks+=ExportSamples", "--trainer.callbacks.resolution=16"])
    written = [path.name for path in (tmp_path / "predictions").iterdir()]
    assert sum(name.endswith(".safetensors") for name in written) == 2  # 8 shapes in batches of 4
    assert any(name.endswith(".ply") for name in written)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model.init_args.level=4"], "level must be one of 1 (finest) to 3, but 4"),
        (["--model.init_args.num_categories=7"], "num_categories is 7, but that of the data is 8"),
        (["--model.init_args.width=100"], "width must be a multiple of 64"),
        (["--model.init_args.drop_condition=2"], "drop_condition must be a probability"),
        (["--model.init_args.autoencoder=absent.ckpt"], "there is no such file"),
        (["--data.init_args.root=absent"], "absent"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(cache, tmp_path, capsys, arguments, expected):
    assert expected in refusal(capsys, small_fit(cache, tmp_path, *arguments))
