"""The training of the autoencoder follows the paper's formulas."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from lagem.data_modules.procedural import ProceduralDataModule
from lagem.levels import LevelSpec
from lagem.modules.autoencoder import AutoencoderModule
from lagem.weights.autoencoder import save_autoencoder

LEVELS = [LevelSpec(16, 4, depth=1), LevelSpec(4, 4, depth=1, bottleneck="kl")]


def data() -> ProceduralDataModule:
    return ProceduralDataModule(
        num_train=32, num_val=4, batch_size=4, num_surface_points=64, num_volume_queries=16, num_near_queries=16,
        num_workers=0,
    )  # fmt: skip


def trainer(folder, **settings) -> Trainer:
    settings = {"enable_checkpointing": False, **settings}
    return Trainer(
        accelerator="cpu", devices=1, use_distributed_sampler=False, logger=CSVLogger(folder), default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1, **settings,
    )  # fmt: skip


def test_a_checkpoint_of_another_autoencoder_is_refused_and_one_of_the_same_gives_its_number_of_points():
    module = AutoencoderModule(levels=LEVELS, width=64)
    plain = dataclasses.replace(module.spec, num_surface_points=77).as_plain()
    for change, expected in (
        ({"width": 128}, "holds another autoencoder: width 128, not 64"),
        ({"levels": plain["levels"][:1]}, "holds another autoencoder: levels"),
        ({"format": "lagem-autoencoder-2"}, "format must be 'lagem-autoencoder-1', but 'lagem-autoencoder-2'"),
    ):
        with pytest.raises(ValueError, match=expected):
            module.on_load_checkpoint({"autoencoder": plain | change})
    for checkpoint, expected in (({}, "holds no autoencoder"), ({"autoencoder": 7}, "format must be .* but 7")):
        with pytest.raises(ValueError, match=expected):
            module.on_load_checkpoint(checkpoint)
    del plain["octaves"]  # of a checkpoint written before octaves could be chosen
    module.on_load_checkpoint({"autoencoder": plain})
    assert module.spec.num_surface_points == 77


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("step", ["plain", "lean", "leanest"])
def test_with_a_frozen_encoder_the_latents_stay_the_same_and_only_the_decoder_learns(tmp_path, optimizer, step):
    given = AutoencoderModule(levels=LEVELS, width=64).autoencoder
    save_autoencoder(given, tmp_path / "given.safetensors", num_surface_points=64)
    module = AutoencoderModule(
        levels=LEVELS, width=64, optimizer=optimizer, base_lr=0.1, step=step,
        init_from=tmp_path / "given.safetensors", freeze_encoder=True,
    )  # fmt: skip
    trainer(tmp_path, max_steps=3).fit(module, data())
    points = torch.rand(2, 64, 3) - 0.5
    drawn = [[torch.Generator().manual_seed(seed) for seed in (0, 1)] for _ in range(2)]
    with torch.no_grad():
        before, after = (
            given.encode(points, generators=drawn[0]),
            module.autoencoder.encode(points, generators=drawn[1]),
        )
    assert all(map(torch.equal, before, after))
    trained = dict(module.autoencoder.named_parameters())
    same = {name for name, tensor in given.named_parameters() if torch.equal(tensor, trained[name])}
    assert same == {name for name, tensor in trained.items() if not tensor.requires_grad}
    assert {name.partition(".")[0] for name in trained.keys() - same} == {
        "bottlenecks", "upsample", "self_attention", "query_attention", "to_logits",
    }  # fmt: skip


def test_a_frozen_encoder_without_weights_is_refused():
    with pytest.raises(ValueError, match="freeze_encoder needs init_from"):
        AutoencoderModule(levels=LEVELS, width=64, freeze_encoder=True)


def test_the_loss_is_volume_plus_weighted_near_plus_weighted_kl(tmp_path):
    """The expected loss is Eq. 15, with the mean of the posterior instead of a sample, as in evaluation."""
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
    """The peak rate is base_lr * (batch size 4 * accumulation 2 * 1 rank) / 256; the warm-up has 2 steps."""
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
    draws, again, later = (
        [torch.randn(3, generator=generator) for generator in module._posterior_generators(batch, epoch)]
        for epoch in (0, 0, 1)
    )
    assert all(torch.equal(one, other) for one, other in zip(draws, again, strict=True))
    assert not torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], later[0])


def test_validation_decodes_a_sample_of_the_posterior_only_if_asked(tmp_path):
    """With a log-variance of -30, samples equal the mean; with 2, they differ. All validations draw the same sample."""
    found = {}
    for log_variance in (-30.0, 2.0):
        for posterior in ("mean", "sample", "sample"):
            torch.manual_seed(0)
            module = AutoencoderModule(levels=LEVELS, width=64, kl_weight=0.0, posterior=posterior)
            bottleneck = module.autoencoder.bottlenecks[1]
            torch.nn.init.zeros_(bottleneck.log_variance.weight)
            torch.nn.init.constant_(bottleneck.log_variance.bias, log_variance)
            (metrics,) = trainer(tmp_path).validate(module, data(), verbose=False)
            found.setdefault((log_variance, posterior), set()).add(metrics["val/loss"])
    assert all(len(losses) == 1 for losses in found.values())
    losses = {key: loss for key, (loss,) in found.items()}
    assert losses[-30.0, "sample"] == pytest.approx(losses[-30.0, "mean"], rel=1e-5)
    assert losses[2.0, "sample"] != pytest.approx(losses[2.0, "mean"], rel=1e-5)


def test_warmup_is_one_epoch_and_at_most_a_tenth_of_the_run(tmp_path):
    for max_steps, expected in ((160, 1 / 8), (20, 1 / 2)):  # the warm-up takes an epoch of 8 steps, or a tenth of 20
        module = AutoencoderModule(levels=LEVELS, width=64, base_lr=0.064)
        stopped = StopAfterOneStep()
        trainer(tmp_path, max_steps=max_steps, limit_val_batches=0, callbacks=[stopped]).fit(module, data())
        assert stopped.rate == pytest.approx(0.064 * 4 / 256 * expected)


class StopAfterOneStep(Callback):
    """Records the learning rate of the first step, and stops the training."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]
        trainer.should_stop = True


def test_a_training_without_an_end_is_refused(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64)
    with pytest.raises(ValueError, match=r"neither trainer.max_steps nor trainer.max_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(module, data())


def test_level_dropout_depends_on_the_shape_and_the_epoch_only_and_has_its_share(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64, level_dropout=0.25)
    source = data()
    trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module, source)
    batch = next(iter(source.train_dataloader()))
    many = dataclasses.replace(batch, ids=[f"shape {k}" for k in range(2000)])
    finest = module._draw_finest_levels(many)
    assert finest.min() == 1
    assert finest.max() == 2
    assert float((finest == 2).float().mean()) == pytest.approx(0.25, abs=0.03)  # 3 standard deviations
    turned = module._draw_finest_levels(dataclasses.replace(many, ids=many.ids[::-1]))
    assert torch.equal(turned, finest.flip(0))


def test_level_dropout_begins_at_its_step_also_with_accumulation(tmp_path):
    module = AutoencoderModule(levels=LEVELS, width=64, level_dropout=1.0, level_dropout_start=2)
    drawn = DrawnLevels()
    trainer(tmp_path, max_steps=3, limit_val_batches=0, accumulate_grad_batches=2, callbacks=[drawn]).fit(
        module, data()
    )
    assert drawn.dropped == [False] * 4 + [True] * 2


class DrawnLevels(Callback):
    """Records, for each batch, whether level dropout applies to it."""

    def __init__(self):
        self.dropped = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.dropped.append(pl_module._draw_finest_levels(batch) is not None)


def test_level_dropout_needs_more_than_one_level():
    with pytest.raises(ValueError, match="there is only one level"):
        AutoencoderModule(levels=LEVELS[:1], width=64, level_dropout=0.5)


def test_muon_trains_and_goes_on_from_a_checkpoint_as_if_undisturbed(tmp_path):
    def module() -> AutoencoderModule:
        torch.manual_seed(0)
        return AutoencoderModule(levels=LEVELS, width=64, optimizer="muon", start="local", base_lr=0.064)

    whole, resumed = module(), module()
    saving = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    settings = {"max_steps": 6, "limit_val_batches": 0, "enable_checkpointing": True}
    trainer(tmp_path, **settings, callbacks=[saving]).fit(whole, data())
    trainer(tmp_path, **settings).fit(resumed, data(), ckpt_path=tmp_path / "step=3.ckpt")
    ends = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in ends)
