"""A run that is interrupted anywhere and resumed sees exactly the remaining samples of an undisturbed run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, OnExceptionCheckpoint

import recorder

BATCHES, Recorder, fit = recorder.BATCHES, recorder.Recorder, recorder.fit


def saver(folder: Path, **kwargs: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="{epoch}-{step}", save_top_k=-1, **kwargs)


def assert_every_checkpoint_resumes(folder: Path, undisturbed: Recorder, at_least: int, **kwargs: Any) -> None:
    checkpoints = sorted(folder.glob("*.ckpt"))
    assert len(checkpoints) >= at_least
    for path in checkpoints:
        before = torch.load(path, weights_only=False)["seen"]
        resumed = Recorder()
        fit(resumed, resume=path, **kwargs)
        assert resumed.seen == undisturbed.seen[before:], path.name


@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 13}], ids=["epochs", "steps"])
def test_resuming_after_any_batch_sees_the_rest(tmp_path, length):
    whole = Recorder()
    fit(whole, [saver(tmp_path, every_n_train_steps=1)], **length)
    assert len(whole.seen) == length.get("max_steps", 3 * BATCHES)
    assert_every_checkpoint_resumes(tmp_path, whole, at_least=len(whole.seen), **length)


@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 8}], ids=["epochs", "steps"])
def test_resuming_with_accumulation_sees_the_rest(tmp_path, length):
    length = {"accumulate_grad_batches": 2, **length}
    whole = Recorder()
    fit(whole, [saver(tmp_path, every_n_train_steps=1)], **length)
    assert_every_checkpoint_resumes(tmp_path, whole, at_least=8, **length)


@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 13}], ids=["epochs", "steps"])
@pytest.mark.parametrize("interval", [2, 1.0], ids=["validation in mid-epoch", "validation at the end"])
def test_resuming_after_validation_sees_the_rest(tmp_path, interval, length):
    length = {"val_check_interval": interval, **length}
    whole = Recorder()
    fit(whole, [saver(tmp_path, save_on_train_epoch_end=False)], **length)
    assert_every_checkpoint_resumes(tmp_path, whole, at_least=2, **length)


@pytest.mark.parametrize("length", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 13}], ids=["epochs", "steps"])
def test_resuming_after_the_end_of_an_epoch_sees_the_rest(tmp_path, length):
    whole = Recorder()
    fit(whole, [saver(tmp_path, save_on_train_epoch_end=True, every_n_epochs=1)], **length)
    assert_every_checkpoint_resumes(tmp_path, whole, at_least=2, **length)


def test_resuming_with_workers_that_prefetch_sees_the_rest(tmp_path):
    length = {"max_epochs": 2, "workers": 2}
    whole = Recorder()
    fit(whole, [saver(tmp_path, every_n_train_steps=3)], **length)
    assert len(whole.seen) == 2 * BATCHES
    assert_every_checkpoint_resumes(tmp_path, whole, at_least=3, **length)


def test_workers_change_nothing():
    alone, helped = Recorder(), Recorder()
    fit(alone, max_epochs=2)
    fit(helped, max_epochs=2, workers=2)
    assert alone.seen == helped.seen


def test_resuming_after_a_failed_step_repeats_that_step(tmp_path):
    whole, failing, resumed = Recorder(), Recorder(fail_at=7), Recorder()
    fit(whole, max_epochs=3)
    with pytest.raises(RuntimeError, match="the machine is gone"):
        fit(failing, [OnExceptionCheckpoint(tmp_path)], max_epochs=3)
    fit(resumed, resume=tmp_path / "on_exception.ckpt", max_epochs=3)
    assert failing.seen + resumed.seen == whole.seen


@pytest.mark.parametrize("steps", [5, 7, 10], ids=str)
def test_a_finished_run_that_is_prolonged_sees_the_rest(tmp_path, steps):
    whole, first, second = Recorder(), Recorder(), Recorder()
    fit(whole, max_epochs=-1, max_steps=13)
    fit(first, max_epochs=-1, max_steps=steps).save_checkpoint(tmp_path / "last.ckpt")
    fit(second, resume=tmp_path / "last.ckpt", max_epochs=-1, max_steps=13)
    assert first.seen + second.seen == whole.seen


def test_limited_epochs_walk_through_the_whole_set():
    module = Recorder()
    fit(module, max_epochs=3, limit_train_batches=2)
    whole = Recorder()
    fit(whole, max_epochs=2)
    assert module.seen == whole.seen[:6]


def test_overfitting_repeats_its_batches():
    module = Recorder()
    fit(module, max_epochs=3, overfit_batches=2)
    assert module.seen == module.seen[:2] * 3


def test_resuming_with_another_batch_size_is_told(tmp_path):
    fit(Recorder(), [saver(tmp_path, every_n_train_steps=3)], max_epochs=1)
    (path,) = tmp_path.glob("*.ckpt")
    saved = torch.load(path, weights_only=False)
    saved["loops"]["fit_loop"]["state_dict"]["combined_loader"][0]["global_batch"] = 3
    torch.save(saved, path)
    with pytest.warns(UserWarning, match="the checkpoint was trained with .*'global_batch': 3"):
        fit(Recorder(), resume=path, max_epochs=1)
