"""Every undocumented part of Lightning that lagem uses still does what lagem uses it for."""

import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.collectives.torch_collective import default_pg_timeout
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException

import recorder
from lagem.lightning_private import trainer as private


class AfterBatch(Callback):
    """Calls a function with the trainer after every training batch, and collects the returned values."""

    def __init__(self, function) -> None:
        self.function, self.returned = function, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.returned.append(self.function(trainer))


def test_a_fit_ends_after_the_batch_that_asked_for_it(tmp_path):
    module = recorder.Recorder()
    ender = AfterBatch(lambda trainer: private.end_after_batch(trainer, len(module.seen) == 3))
    with pytest.raises(SIGTERMException):
        recorder.fit(module, [ender], max_epochs=1, default_root_dir=tmp_path)
    assert len(module.seen) == 3


def test_an_end_that_is_taken_back_does_not_happen(tmp_path):
    def ask_and_take_back(trainer: Trainer) -> None:
        private.end_after_batch(trainer, True)
        private.end_after_batch(trainer, False)

    module = recorder.Recorder()
    recorder.fit(module, [AfterBatch(ask_and_take_back)], max_epochs=1, default_root_dir=tmp_path)
    assert len(module.seen) == recorder.BATCHES


def test_trained_batches_are_counted_over_epochs(tmp_path):
    counter = AfterBatch(private.batches_trained)
    recorder.fit(recorder.Recorder(), [counter], max_epochs=2, default_root_dir=tmp_path)
    assert counter.returned == list(range(1, 2 * recorder.BATCHES + 1))


def test_the_training_data_are_known_before_the_first_epoch_and_made_anew_for_it():
    made = []

    class Early(recorder.Recorder):
        def configure_optimizers(self):
            private.set_up_training_data(self.trainer)
            made.append(self.trainer.train_dataloader)
            assert self.trainer.num_training_batches == recorder.BATCHES
            private.restart_training_data(self.trainer)
            return super().configure_optimizers()

        def on_train_start(self) -> None:
            made.append(self.trainer.train_dataloader)

    recorder.fit(Early(), max_epochs=1)
    before, after = made
    assert before is not after


def test_the_cluster_environment_is_the_detected_one(monkeypatch):
    def detected():
        return private.cluster_environment(Trainer(accelerator="cpu", devices=1, logger=False, barebones=True))

    assert isinstance(detected(), LightningEnvironment)
    for name, value in {"NTASKS": 1, "JOB_NAME": "a job", "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_ID": 7}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    environment = detected()
    assert isinstance(environment, SLURMEnvironment) and environment.auto_requeue


def test_the_average_is_made_on_the_device_it_is_kept_on():
    callback, module = EMAWeightAveraging(), recorder.Recorder()
    private.keep_average_on(callback, torch.device("meta"))
    callback.setup(Trainer(accelerator="cpu", logger=False, barebones=True), module, "fit")
    assert {parameter.device.type for parameter in callback._average_model.parameters()} == {"meta"}


def test_a_configured_device_of_the_average_is_kept():
    callback = EMAWeightAveraging(device="cpu")
    private.keep_average_on(callback, torch.device("meta"))
    assert callback._device == torch.device("cpu")


@pytest.mark.parametrize("marked", [True, False])
def test_only_a_last_checkpoint_that_is_marked_as_saved_is_not_written_at_the_end(tmp_path, marked):
    keeper = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=1000)
    if marked:
        private.mark_last_saved(keeper, str(tmp_path / "last.ckpt"))
    recorder.fit(recorder.Recorder(), [keeper], max_epochs=1)
    assert (tmp_path / "last.ckpt").exists() is not marked


def test_a_run_of_wandb_has_the_id_it_was_given(tmp_path):
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    private.set_run_id(logger, "chosen")
    try:
        assert logger.version == logger.experiment.id == "chosen"
    finally:
        logger.experiment.finish()


@pytest.mark.parametrize("strategy", [DDPStrategy, FSDPStrategy, ModelParallelStrategy])
def test_only_an_unset_timeout_is_replaced(strategy):
    chosen, unset = strategy(timeout=timedelta(minutes=3)), strategy()
    assert (chosen._timeout, unset._timeout) == (timedelta(minutes=3), default_pg_timeout)
    for one in (chosen, unset):
        private.set_default_timeout(one, timedelta(minutes=5))
    assert (chosen._timeout, unset._timeout) == (timedelta(minutes=3), timedelta(minutes=5))


def test_arguments_of_ddp_reach_it():
    strategy = DDPStrategy(find_unused_parameters=True)
    private.set_default_of_ddp(strategy, "find_unused_parameters", False)
    private.set_default_of_ddp(strategy, "gradient_as_bucket_view", True)
    assert strategy._ddp_kwargs == {"find_unused_parameters": True, "gradient_as_bucket_view": True}


def test_checkpoints_of_a_sharded_model_become_whole():
    strategy = ModelParallelStrategy(save_distributed_checkpoint=True)
    assert strategy._save_distributed_checkpoint
    private.save_whole_checkpoints(strategy)
    assert not strategy._save_distributed_checkpoint


def test_the_ranks_that_a_launcher_started_are_killed():
    trainer = Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    started = subprocess.Popen(["sleep", "600"])
    trainer.strategy.launcher.procs.append(started)
    private.kill_started_ranks(trainer)
    assert started.wait(timeout=60) == -signal.SIGKILL


def test_a_run_of_one_process_has_no_rank_to_kill():
    private.kill_started_ranks(Trainer(accelerator="cpu", devices=1, logger=False))


def test_no_other_file_uses_undocumented_parts_of_lightning():
    root = Path(__file__).resolve().parents[2]
    names = ("_signal_connector", "_accelerator_connector", "_combined_loader", "batch_progress", "_last_checkpoint")
    names += ("_wandb_init", "_ddp_kwargs", "_save_distributed", "_timeout ", "_parse_ckpt_path", "_set_seed")
    names += ("launcher", "_prepare_subcommand_parser")
    files = [path for home in ("src/lagem", "data_modules", "callbacks") for path in (root / home).rglob("*.py")]
    users = {path.parent.name for path in files for name in names if f".{name}" in path.read_text()}
    assert users == {"lightning_private"}
