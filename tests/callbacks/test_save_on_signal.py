"""A signal stops a training, and a second training resumes it: both together see the data of an undisturbed training.

The main thread blocks the signal, so it stays pending until the training checks for it. The signal is sent to that
thread alone, because another thread of pytest might not block it.
"""

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

import recorder
from lagem.callbacks.save_on_signal import SaveOnSignal
from lagem.signals import INTERRUPT, REQUEUE, STOP, signals_blocked

EPOCHS = {"max_epochs": 3}
SETTINGS = {
    "epochs": EPOCHS,
    "validation over epochs": {"val_check_interval": 3, "check_val_every_n_epoch": None, "max_steps": 13},
    "validation in accumulation": {"accumulate_grad_batches": 2, "val_check_interval": 3, "max_epochs": 2},
    "epochs of one batch": {"limit_train_batches": 1, "max_epochs": 5},
}


class Signalled(recorder.Recorder):
    """A recorder that also records validations and ends of epochs, and sends a signal after `at` events."""

    def __init__(self, at: int | None = None, signum: signal.Signals = REQUEUE) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.at, self.signum = at, signum

    def note(self, event: Any = None) -> None:
        if event is not None:
            self.seen.append(event)
        if len(self.seen) == self.at:
            signal.pthread_kill(threading.main_thread().ident, self.signum)

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.note()
        return loss

    def on_validation_epoch_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.note("validation")

    def on_train_epoch_end(self) -> None:
        self.note("end of an epoch")


def run(module: Signalled, folder: Path, *callbacks: Callback, resume: bool = False, **settings: Any) -> SaveOnSignal:
    saver = SaveOnSignal(every_n_steps=settings.pop("every_n_steps", 1))
    keeper = ModelCheckpoint(folder, save_last=True, every_n_train_steps=1000, save_top_k=0)
    with signals_blocked():
        try:
            path = folder / "last.ckpt" if resume else None
            recorder.fit(module, [*callbacks, keeper, saver], resume=path, num_sanity_val_steps=0, **settings)
        except SIGTERMException:
            assert saver.stopped_by is not None
        else:
            assert saver.stopped_by is None
    return saver


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_signal_at_any_moment_loses_and_repeats_nothing(tmp_path, settings):
    whole = Signalled()
    run(whole, tmp_path / "whole", **settings)
    left = 0
    for moment in range(1, len(whole.seen)):
        first, second, folder = Signalled(moment), Signalled(), tmp_path / str(moment)
        saver = run(first, folder, **settings)
        left += saver.stopped_by is REQUEUE
        if saver.stopped_by is None:  # it was about to end
            assert first.seen == whole.seen
        else:
            assert saver.saved == folder / "last.ckpt"
            run(second, folder, resume=True, **settings)
            assert first.seen + second.seen == whole.seen, moment
    assert left >= len(whole.seen) // 2


def test_two_signals_in_a_row_lose_nothing(tmp_path):
    whole, first, second, third = Signalled(), Signalled(4), Signalled(5), Signalled()
    run(whole, tmp_path / "whole", **EPOCHS)
    run(first, tmp_path, **EPOCHS)
    run(second, tmp_path, resume=True, **EPOCHS)
    run(third, tmp_path, resume=True, **EPOCHS)
    assert first.seen + second.seen + third.seen == whole.seen
    assert not list(tmp_path.glob("last-v*.ckpt"))


@pytest.mark.parametrize("signum", [STOP, INTERRUPT], ids=lambda signum: signum.name)
def test_a_training_knows_which_signal_stopped_it(tmp_path, signum):
    assert run(Signalled(3, signum), tmp_path, **EPOCHS).stopped_by is signum


def test_a_signal_before_the_training_is_followed_after_its_first_step(tmp_path):
    module = Signalled()
    with signals_blocked():
        signal.pthread_kill(threading.main_thread().ident, REQUEUE)
        assert run(module, tmp_path, **EPOCHS).stopped_by is REQUEUE
    assert len(module.seen) == 1


def test_a_rare_check_stops_at_the_next_check(tmp_path):
    module = Signalled(2)
    run(module, tmp_path, every_n_steps=4, **EPOCHS)
    assert len(module.seen) == 4


def test_a_run_that_keeps_no_checkpoints_stops_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saver = SaveOnSignal()
    with signals_blocked(), pytest.raises(SIGTERMException):
        recorder.fit(Signalled(3), [saver], **EPOCHS)
    assert saver.stopped_by is REQUEUE and saver.saved is None
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("moment", [2, 3, 4, 9], ids=str)
def test_averaged_weights_are_not_saved_as_the_trained_ones(tmp_path, moment):
    """This also holds if the signal comes during a validation, when the averaged weights are in the model."""
    settings = {"val_check_interval": 2, **EPOCHS}
    whole, first, second = Signalled(), Signalled(moment), Signalled()
    run(whole, tmp_path / "whole", EMAWeightAveraging(decay=0.9), **settings)
    run(first, tmp_path, EMAWeightAveraging(decay=0.9), **settings)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(saved["current_model_state"]["layer.weight"], first.layer.weight)
    assert not torch.equal(saved["state_dict"]["layer.weight"], first.layer.weight)
    run(second, tmp_path, EMAWeightAveraging(decay=0.9), resume=True, **settings)
    assert torch.equal(second.layer.weight, whole.layer.weight)


def test_a_run_that_stops_by_itself_is_not_ended_by_a_signal(tmp_path):
    class Scored(Signalled):
        def validation_step(self, batch, batch_idx):
            self.log("val/loss", 1.0)

    stopper = EarlyStopping("val/loss", patience=1)
    run(Scored(at=11), tmp_path, stopper, val_check_interval=4, **EPOCHS)  # in the step before the second validation
    assert stopper.stopped_epoch


def test_signals_that_nobody_checked_for_are_dropped_at_the_end():
    handlers = signal.getsignal(STOP), signal.getsignal(REQUEUE)
    with signals_blocked():
        for signum in (STOP, REQUEUE, INTERRUPT):
            signal.pthread_kill(threading.main_thread().ident, signum)
    assert not {STOP, REQUEUE, INTERRUPT} & signal.pthread_sigmask(signal.SIG_BLOCK, set())
    assert handlers == (signal.getsignal(STOP), signal.getsignal(REQUEUE))
