"""The training step against the paper's formulas."""

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger

from lagem.data_modules import ProceduralDataModule
from lagem.levels import LevelSpec
from lagem.modules import AutoencoderModule

LEVELS = [LevelSpec(16, 4, depth=1), LevelSpec(4, 4, depth=1, bottleneck="kl")]


def data() -> ProceduralDataModule:
    return ProceduralDataModule(
        num_train=32, num_val=4, batch_size=4, num_surface_points=64, num_volume_queries=16, num_near_queries=16,
        num_workers=0,
    )  # fmt: skip


def trainer(folder, **settings) -> Trainer:
    return Trainer(
        accelerator="cpu", devices=1, use_distributed_sampler=False, logger=CSVLogger(folder), default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        log_every_n_steps=1, **settings,
    )  # fmt: skip


def test_the_loss_is_volume_plus_weighted_near_plus_weighted_kl(tmp_path):
    """Eq. 15, with the mean of the posterior (evaluation) in place of a sample of it."""
    module = AutoencoderModule(levels=LEVELS, width=64, near_weight=0.3, kl_weight=0.01).eval()
    source = data()
    source.setup("validate")
    batch = next(iter(source.val_dataloader()))
    latents, kl = module.autoencoder._encode(batch.surface_points, None, None)
    field = module.autoencoder.decode(latents)
    expected = (
        F.binary_cross_entropy_with_logits(field(batch.volume_points), batch.volume_occupancy)
        + 0.3 * F.binary_cross_entropy_with_logits(field(batch.near_points), batch.near_occupancy)
        + 0.01 * kl.mean()
    )
    (metrics,) = trainer(tmp_path).validate(module, source, verbose=False)
    assert metrics["val/loss"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_learning_rate_is_the_base_rate_for_256_shapes(tmp_path):
    """base_lr * (batch 4 * accumulation 2 * one rank) / 256, in the first step of 2 of warm-up."""
    module = AutoencoderModule(levels=LEVELS, width=64, base_lr=0.032, warmup_steps=2)
    fit = trainer(tmp_path, max_steps=2, accumulate_grad_batches=2, limit_val_batches=0)
    fit.fit(module, data())
    peak = 0.032 * 8 / 256
    assert module.optimizers().param_groups[0]["initial_lr"] == pytest.approx(peak)
    assert fit.logged_metrics["train/lr"] == pytest.approx(peak)  # of the second step


def test_kl_noise_depends_on_the_shape_and_the_epoch_only(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64)
    source = data()
    trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module, source)
    batch = next(iter(source.train_dataloader()))
    draws = [torch.randn(3, generator=generator) for generator in module._posterior_generators(batch)]
    again = [torch.randn(3, generator=generator) for generator in module._posterior_generators(batch)]
    assert all(torch.equal(one, other) for one, other in zip(draws, again, strict=True))
    assert not torch.equal(draws[0], draws[1])


def test_warmup_is_one_epoch_and_at_most_a_tenth_of_the_run(tmp_path):
    for max_steps, expected in ((160, 1 / 8), (20, 1 / 2)):  # 8 batches an epoch: 8 steps, and 2
        module = AutoencoderModule(levels=LEVELS, width=64, base_lr=0.064)
        stopped = StopAfterOneStep()
        trainer(tmp_path, max_steps=max_steps, limit_val_batches=0, callbacks=[stopped]).fit(module, data())
        assert stopped.rate == pytest.approx(0.064 * 4 / 256 * expected)


class StopAfterOneStep(Callback):
    """Keeps the learning rate of the first step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]
        trainer.should_stop = True


def test_a_training_without_an_end_is_refused(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64)
    with pytest.raises(ValueError, match=r"neither trainer.max_steps nor trainer.max_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(module, data())
