"""If a training on the command line fails, it prints one line that says why, and no checkpoint is lost."""

import os
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy

import small_run
from lagem.cli import main
from lagem.training.strategies import check_averaging

small_fit = small_run.small_fit


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    main(small_fit(folder, steps=2))
    return folder


class Bomb:
    """An object whose pickle, when it is loaded, makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def fails(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


OTHER_LEVELS = "[{num_latents: 16, latent_dim: 4, depth: 1}, {num_latents: 4, latent_dim: 8, depth: 1}]"


SHALLOW_LEVELS = "[{num_latents: 16, latent_dim: 4, depth: 1}, {num_latents: 4, latent_dim: 6, depth: 0}]"


@pytest.mark.parametrize(
    "other", ["width=128", f"levels={OTHER_LEVELS}", f"levels={SHALLOW_LEVELS}", "skip=single", "octaves=9"]
)
def test_fine_tuning_from_another_architecture_is_refused(other, trained, tmp_path, capsys):
    checkpoint = trained / "checkpoints" / "last.ckpt"
    message = fails(
        small_fit(tmp_path, f"--model.init_args.init_from={checkpoint}", f"--model.init_args.{other}"), capsys
    )
    assert "init_from" in message and "width 64" in message and "only num_latents may differ" in message


def test_resuming_another_architecture_is_refused_in_one_line(trained, tmp_path, capsys):
    checkpoint = trained / "checkpoints" / "last.ckpt"
    message = fails(small_fit(tmp_path, f"--ckpt_path={checkpoint}", "--model.init_args.width=128"), capsys)
    assert message.startswith("lagem: error:") and "width 64, not 128" in message


def test_resuming_other_octaves_is_refused_in_one_line(trained, tmp_path, capsys):
    checkpoint = trained / "checkpoints" / "last.ckpt"
    message = fails(small_fit(tmp_path, f"--ckpt_path={checkpoint}", "--model.init_args.octaves=5"), capsys)
    assert message.startswith("lagem: error:") and "octaves 6, not 5" in message


def test_two_callbacks_for_signals_are_refused_by_name(tmp_path, capsys):
    message = fails(small_fit(tmp_path, *["--trainer.callbacks+=SaveOnSignal"] * 2), capsys)
    assert "names SaveOnSignal 2 times" in message


def test_a_second_run_does_not_write_over_the_first(trained, capsys):
    message = fails(small_fit(trained), capsys)
    assert "already holds a run" in message and "--ckpt_path last" in message


def test_a_resumed_checkpoint_runs_no_code(trained, tmp_path, capsys):
    checkpoint = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    torch.save({**checkpoint, "bomb": Bomb(tmp_path / "ran")}, tmp_path / "bomb.ckpt")
    for verb in ("fit", "validate"):
        message = fails([verb, *small_fit(tmp_path / verb)[1:], f"--ckpt_path={tmp_path / 'bomb.ckpt'}"], capsys)
        assert message.startswith("lagem: error:")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_an_untrained_network_is_not_evaluated_in_silence(tmp_path, capsys, verb):
    assert "needs trained weights" in fails([verb, *small_fit(tmp_path)[1:]], capsys)
    assert "holds no last checkpoint" in fails([verb, *small_fit(tmp_path)[1:], "--ckpt_path=last"], capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--ckpt_path=absent.ckpt"], "there is no such file"),
        ([f"--ckpt_path={__file__}"], "not a checkpoint, or a damaged one"),
        (["--trainer.precision=16-mixed"], "Use bf16-mixed"),
        (["--data.init_args.num_train=2"], "fewer than one batch"),
        (["--data.init_args.num_val=0"], "the validation set is empty"),
        (["--model.init_args.widht=64"], "Option 'widht' is not accepted"),
        (["--model.init_args.width=100"], "width must be a multiple of 64"),
        (["--model.init_args.levels=[{num_latents: 4, latent_dim: 4}, {num_latents: 8, latent_dim: 4}]"],
         "a level with 8 latents follows one with 4"),
        (["--model.init_args.levels=[{num_latents: 4, latent_dims: 4}]"], "Option 'latent_dims' is not accepted"),
        (["--data.init_args.batch_size=many"], "data.batch_size"),
        (["--model.init_args.width=-64"], "width must be an integer of at least 1"),
        (["--config=absent.yaml"], "there is no such file"),
        (["--trainer.max_step=3"], "--trainer.max_step"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_is_one_line(tmp_path, capsys, arguments, expected):
    message = fails(small_fit(tmp_path, *arguments), capsys)
    assert message.startswith("lagem: error:") and expected in message


def test_a_fit_without_settings_asks_for_an_experiment(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("words, not settings")
    for arguments in ([], ["--config", str(tmp_path / "notes.txt")]):
        message = fails(["fit", *arguments], capsys)
        assert message.startswith("lagem: error:") and "Give an experiment as --config, for example" in message
        assert "words" not in message
    message = fails(["describe", str(tmp_path / "notes.txt")], capsys)
    assert "notes.txt: a config does not map names to settings. Give an experiment, for example" in message


def test_a_folder_is_a_checkpoint_once_its_description_is_written(tmp_path, capsys):
    (tmp_path / "step=2.ckpt").mkdir()
    arguments = small_fit(tmp_path / "run", f"--ckpt_path={tmp_path / 'step=2.ckpt'}")
    assert "there is no such file and no complete sharded checkpoint" in fails(arguments, capsys)
    (tmp_path / "step=2.ckpt" / "meta.pt").touch()
    assert "there is no such file" not in fails(arguments, capsys)


POISONED = '''
import dataclasses
import torch
from lagem.data_modules import ProceduralDataModule


class Poisoned(ProceduralDataModule):
    """Furniture with one shape whose points are not finite."""

    def on_before_batch_transfer(self, batch, dataloader_idx):
        points = batch.surface_points.clone()
        for row, name in enumerate(batch.ids):
            if name == NAME:
                points[row] = torch.nan
        return dataclasses.replace(batch, surface_points=points)
'''


@pytest.fixture
def poisoned(tmp_path, monkeypatch) -> list[str]:
    """Return the id of a shape in the batch of step 2, then arguments for a data module that makes this shape NaN."""
    cli = main(small_fit(tmp_path / "look", steps=2))
    name = next(iter(cli.datamodule.train_dataloader())).ids[1]
    (tmp_path / "poisoned_data.py").write_text(f"NAME = {name!r}\n{POISONED}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "poisoned_data", raising=False)
    return [name, "--data.class_path=poisoned_data.Poisoned", *small_run.SMALL_DATA]


def test_a_loss_that_is_not_finite_names_the_shape_and_the_step(poisoned, tmp_path, capsys):
    name, *arguments = poisoned
    message = fails(small_fit(tmp_path / "run", *arguments), capsys)
    assert "step 2" in message and name in message


def test_a_step_that_is_not_finite_can_be_skipped(poisoned, tmp_path, capfd):
    name, *arguments = poisoned
    cli = main(small_fit(tmp_path / "run", *arguments, "--model.init_args.on_non_finite=skip", steps=4))
    assert f"step 2: the loss or its gradient is not finite. Cause: {name}." in capfd.readouterr().out
    assert all(torch.isfinite(parameter).all() for parameter in cli.model.parameters())


def test_weight_averaging_is_refused_only_with_sharded_strategies():
    check_averaging(EMAWeightAveraging(), DDPStrategy())
    with pytest.raises(ValueError, match=r"EMAWeightAveraging keeps a whole copy .* FSDPStrategy"):
        check_averaging(EMAWeightAveraging(), FSDPStrategy())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("trainer: {max_steps: 1,\n  max_steps: 2}", "x.yaml: line 2: the key 'max_steps' was already given in line 1"),
        ("model: {class_path: AutoencoderModule, init_args: {width: '${a\"'}}", "token recognition error"),
    ],
)
def test_a_configuration_that_loses_a_value_or_names_none_is_one_line(text, reason, tmp_path, capsys):
    (tmp_path / "x.yaml").write_text(text)
    assert reason in fails(["fit", "--config", str(tmp_path / "x.yaml")], capsys)
    assert reason in fails(["describe", str(tmp_path / "x.yaml")], capsys)


def test_an_allocation_of_tasks_without_nodes_is_a_mistake_in_one_line(tmp_path, capsys, monkeypatch):
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    assert "Use `--ntasks-per-node=4` instead" in fails(small_fit(tmp_path, steps=1), capsys)
