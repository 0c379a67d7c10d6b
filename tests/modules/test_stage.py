"""The training of a cascade stage has the loss of EDM, refuses other stages' data, and resumes as if undisturbed."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import small_cascade as small
from lagem.data_modules.latents import LatentDataModule
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.data_modules.procedural import ProceduralDataModule
from lagem.diffusion.loss import EDMLoss
from lagem.diffusion.noise import torch_generator
from lagem.levels import LevelSpec
from lagem.modules.stage import CascadeStageModule
from lagem.samples import LatentBatch
from lagem.weights.autoencoder import save_autoencoder
from lagem.weights.fingerprint import fingerprint_of
from lagem.weights.stage import load_stage
from toy_shapes import prepare_toys


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return small.make_cache(tmp_path_factory.mktemp("cache") / "latents", small.make_autoencoder())


def data(cache: Path, *, condition: str = "category") -> LatentDataModule:
    return LatentDataModule(root=str(cache), batch_size=4, num_workers=0, condition=condition)


def stage(level: int, **changes) -> CascadeStageModule:
    """Return a stage with reproducible weights.

    If the arguments give all sizes, the stage already has its network. The output of this network is then not zero.
    """
    torch.manual_seed(level)
    settings = {"levels": small.LEVELS, "width": 64, "depth": 1, "num_categories": 8, "base_lr": 0.064, **changes}
    module = CascadeStageModule(level=level, **settings)
    if hasattr(module, "denoiser"):
        torch.nn.init.normal_(module.denoiser.backbone.to_latents.weight, std=0.1)
    return module


def trainer(folder, **settings) -> Trainer:
    settings = {"enable_checkpointing": False, "max_steps": 1, "limit_val_batches": 0, **settings}
    return Trainer(
        accelerator="cpu", devices=1, use_distributed_sampler=False, logger=CSVLogger(folder), default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1, **settings,
    )  # fmt: skip


def validated(folder, module: CascadeStageModule, source) -> dict[str, float]:
    (metrics,) = trainer(folder, limit_val_batches=1.0).validate(module, source, verbose=False)
    return metrics


def first_batch(cache: Path) -> LatentBatch:
    source = data(cache)
    source.setup("fit")
    return next(iter(source.train_dataloader()))


def test_the_loss_is_edms_with_noise_keyed_by_seed_epoch_and_id(cache, tmp_path):
    module = stage(1, drop_condition=0.5, base_lr=0.0)
    fit = trainer(tmp_path)
    fit.fit(module, data(cache))
    batch = first_batch(cache)
    expected = EDMLoss(drop_condition=0.5)(
        module.denoiser,
        batch.latents[0],
        generators=[torch_generator(0, 0, f"diffusion:{name}") for name in batch.ids],
        coarser=[batch.latents[2], batch.latents[1]],  # coarsest first
        condition=batch.condition,
    )
    assert float(fit.logged_metrics["train/loss"]) == pytest.approx(float(expected.mean()), rel=1e-5)


def test_two_validations_of_the_same_weights_agree_and_average_the_fixed_noise_levels(cache, tmp_path):
    module = stage(2)
    one, other = validated(tmp_path, module, data(cache)), validated(tmp_path, module, data(cache))
    assert one == other
    by_sigma = [one[f"val/loss_sigma_{k}"] for k in range(1, 9)]
    assert one["val/loss"] == pytest.approx(sum(by_sigma) / 8, rel=1e-5)
    assert set(one) == {"val/loss", *(f"val/loss_sigma_{k}" for k in range(1, 9))}


def test_a_stage_cannot_be_fed_another_levels_latents(cache):
    def loss(latents):
        target, given = stage(2)._inputs(dataclasses.replace(batch, latents=latents))
        return EDMLoss()(stage(2).denoiser, target, generators=[torch.Generator() for _ in batch.ids], **given)

    batch = first_batch(cache)
    finest, own, coarsest = batch.latents
    assert torch.isfinite(loss([finest, own, coarsest])).all()
    with pytest.raises(ValueError, match=r"stage 2: the latents of level 2 must be \(B, 8, 6\), but \(4, 16, 4\)"):
        loss([finest, finest, coarsest])
    with pytest.raises(ValueError, match=r"stage 2: the latents of level 3 must be \(B, 4, 8\), but \(4, 16, 4\)"):
        loss([finest, own, finest])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"levels": (LevelSpec(16, 4, depth=2), *small.LEVELS[1:])}, "the latents have levels"),
        ({"levels": small.LEVELS[:2]}, "the latents have levels"),
        ({"num_categories": 9}, "num_categories is 9, but that of the data is 8"),
        ({"num_categories": None, "condition_dim": 5}, "condition_dim is 5, but that of the data is None"),
    ],
)
def test_data_that_are_not_the_stages_are_refused(cache, tmp_path, changes, expected):
    with pytest.raises(ValueError, match=expected):
        trainer(tmp_path).fit(stage(1, **changes), data(cache))


@pytest.mark.parametrize("averaged", [False, True])
def test_sizes_that_are_not_given_are_those_of_the_latents_and_give_the_same_weights(cache, tmp_path, averaged):
    """The weights are the same even if other code uses torch's random generator between construction and setup."""
    given = stage(2)
    torch.manual_seed(2)
    taken = CascadeStageModule(level=2, width=64, depth=1, base_lr=0.064)
    torch.rand(7)
    torch.nn.init.zeros_(given.denoiser.backbone.to_latents.weight)
    for module in (given, taken):
        callbacks = [EMAWeightAveraging(decay=0.5)] if averaged else []
        trainer(tmp_path, callbacks=callbacks).fit(module, data(cache))
    assert taken.spec == given.spec == small.make_spec(2, small.make_autoencoder(), drop_condition=0.0)
    for name, tensor in given.state_dict().items():
        assert torch.equal(taken.state_dict()[name], tensor), name


def test_latents_without_a_condition_make_an_unconditional_stage(cache, tmp_path):
    free = stage(1, num_categories=None, levels=None)
    trainer(tmp_path).fit(free, data(cache, condition="none"))
    assert not free.spec.is_conditional and free.spec.category_names == ()
    with pytest.raises(ValueError, match=r"drop_condition 0.1 needs a condition to drop"):
        trainer(tmp_path).fit(stage(1, num_categories=None, drop_condition=0.1), data(cache, condition="none"))


def test_samples_are_decoded_by_the_autoencoder_that_the_latents_came_with(cache, tmp_path):
    shapes = first_batch(cache)
    module, without = stage(1), stage(1)
    trainer(tmp_path).fit(module, data(cache))
    points = torch.rand(len(shapes), 5, 3)
    fields = small.make_autoencoder().decode(shapes.latents)
    torch.testing.assert_close(module.fields(shapes)(points), fields(points))
    older = tmp_path / "older"
    shutil.copytree(cache, older)
    (older / "autoencoder.safetensors").unlink()  # as earlier versions of lagem wrote caches
    trainer(tmp_path).fit(without, data(older))
    assert without.fields(shapes) is None
    save_autoencoder(small.make_autoencoder(1), older / "autoencoder.safetensors", num_surface_points=64)
    with pytest.raises(ValueError, match=r"autoencoder.safetensors does not belong to this autoencoder"):
        without.fields(shapes)


def test_shapes_need_an_autoencoder(tmp_path):
    with pytest.raises(ValueError, match="the data are ProceduralDataModule and autoencoder is null"):
        trainer(tmp_path).fit(stage(1), furniture())


def test_cached_latents_are_those_of_the_autoencoder_that_is_named(cache, tmp_path):
    for seed in (0, 1):
        save_autoencoder(small.make_autoencoder(seed), tmp_path / f"{seed}.safetensors", num_surface_points=64)
    trainer(tmp_path).fit(stage(1, autoencoder=tmp_path / "0.safetensors"), data(cache))
    with pytest.raises(ValueError, match=f"the latent cache {cache} does not belong to this autoencoder"):
        trainer(tmp_path).fit(stage(1, autoencoder=tmp_path / "1.safetensors"), data(cache))


def furniture() -> ProceduralDataModule:
    return ProceduralDataModule(
        num_train=32, num_val=8, batch_size=4, num_surface_points=64, num_volume_queries=16, num_near_queries=16,
        num_workers=0,
    )  # fmt: skip


def test_shapes_are_encoded_in_the_step_by_weights_that_stay_as_they_are(tmp_path):
    network = small.make_autoencoder()
    save_autoencoder(network, tmp_path / "weights.safetensors", num_surface_points=64)
    module = stage(1, autoencoder=tmp_path / "weights.safetensors", levels=None)
    trainer(tmp_path, precision="bf16-mixed").fit(module, furniture())
    assert module.spec.levels == network.levels
    source = furniture()
    batch = next(iter(source.train_dataloader()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = module._autoencoder.encode(batch)
    with torch.no_grad():  # with gradients, the attention is folded, which rounds differently
        expected_latents = network.encode(batch.surface_points)
    for found, expected in zip(encoded.latents, expected_latents, strict=True):
        assert torch.equal(found, expected)  # float32 despite autocast, and not changed by the training
    assert [small.CATEGORIES[number] for number in encoded.condition] == batch.categories
    assert not [name for name in module.state_dict() if not name.startswith("denoiser.")]
    assert module.spec.autoencoder == fingerprint_of(network)


def test_random_solids_are_refused(tmp_path):
    save_autoencoder(small.make_autoencoder(), tmp_path / "weights.safetensors", num_surface_points=64)
    module = stage(1, autoencoder=tmp_path / "weights.safetensors")
    source = OccupancyDataModule(root=str(prepare_toys(tmp_path)), batch_size=2, num_workers=0, universe_fraction=0.25)
    with pytest.raises(ValueError, match=r"universe_fraction is 0\.25, but a stage .* random solids; set it to 0"):
        trainer(tmp_path).fit(module, source)


def test_predictions_are_samples_given_the_true_coarser_latents(cache, tmp_path):
    module = stage(2)
    together = torch.cat(trainer(tmp_path).predict(module, data(cache)))
    alone_source = LatentDataModule(root=str(cache), batch_size=1, num_workers=0, condition="category")
    alone = torch.cat(trainer(tmp_path).predict(module, alone_source))
    assert together.shape == (8, 8, 6)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_holds_the_averaged_stage_and_what_it_is(cache, tmp_path):
    saving = ModelCheckpoint(dirpath=tmp_path, save_last=True, every_n_train_steps=2)
    averaging = EMAWeightAveraging(decay=0.5)
    module = stage(1, drop_condition=0.1, max_coarser_sigma=0.2)
    trainer(tmp_path, max_steps=4, enable_checkpointing=True, callbacks=[averaging, saving]).fit(module, data(cache))
    backbone, spec = load_stage(tmp_path / "last.ckpt")
    assert spec == small.make_spec(1, small.make_autoencoder(), max_coarser_sigma=0.2)
    for name, tensor in module.denoiser.backbone.state_dict().items():  # averaged at the end of the training
        assert torch.equal(backbone.state_dict()[name], tensor)


@pytest.fixture(scope="module")
def undisturbed(cache, tmp_path_factory) -> tuple[Path, CascadeStageModule]:
    """Train for 20 steps, with 8 steps per epoch, and save a checkpoint every 4 steps.

    Returns:
        The folder that holds the checkpoints, and the trained module.
    """
    folder, module = tmp_path_factory.mktemp("undisturbed"), stage(1, optimizer="muon", drop_condition=0.1)
    saving = ModelCheckpoint(dirpath=folder, filename="{step}", every_n_train_steps=4, save_top_k=-1)
    trainer(folder, max_steps=20, enable_checkpointing=True, callbacks=[saving]).fit(module, data(cache))
    return folder, module


@pytest.mark.parametrize("step", [4, 8, 12, 16])
def test_a_resumed_training_goes_on_as_if_undisturbed_also_at_the_end_of_an_epoch(cache, undisturbed, tmp_path, step):
    folder, whole = undisturbed
    resumed = stage(1, optimizer="muon", drop_condition=0.1)
    fit = trainer(tmp_path, max_steps=20)
    fit.fit(resumed, data(cache), ckpt_path=folder / f"step={step}.ckpt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_training_limited_in_epochs_goes_on_as_if_undisturbed(cache, tmp_path):
    settings = {"max_steps": -1, "max_epochs": 2, "enable_checkpointing": True}
    saving = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=5, save_top_k=-1)
    whole, resumed = stage(1, warmup_steps=2), stage(1, warmup_steps=2)
    trainer(tmp_path, **settings, callbacks=[saving]).fit(whole, data(cache))
    trainer(tmp_path, **settings).fit(resumed, data(cache), ckpt_path=tmp_path / "step=5.ckpt")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "expected"), [({"level": 2}, "level 1, not 2"), ({"width": 128}, "width 64, not 128")]
)
def test_a_checkpoint_of_another_stage_is_refused(cache, undisturbed, tmp_path, changes, expected):
    with pytest.raises(ValueError, match=f"the checkpoint holds another stage: .*{expected}"):
        trainer(tmp_path).fit(stage(**{"level": 1, **changes}), data(cache), ckpt_path=undisturbed[0] / "step=4.ckpt")


def test_a_checkpoint_without_an_axis_is_resumed_and_one_with_another_axis_is_refused(cache, undisturbed, tmp_path):
    shutil.copytree(cache, tmp_path / "latents")
    path = tmp_path / "latents" / "format.json"
    header = json.loads(path.read_text())
    header["settings"]["data"]["settings"] = {"up": "y"}
    path.write_text(json.dumps(header))
    resumed, older = stage(1, optimizer="muon", drop_condition=0.1), undisturbed[0] / "step=16.ckpt"
    run = trainer(tmp_path, max_steps=17)
    run.fit(resumed, data(tmp_path / "latents"), ckpt_path=older)
    assert resumed.spec.up == "y"
    run.save_checkpoint(tmp_path / "newer.ckpt")
    header["settings"]["data"]["settings"] = {"up": "z"}
    path.write_text(json.dumps(header))
    with pytest.raises(ValueError, match="the checkpoint holds another stage: up 'y', not 'z'"):
        trainer(tmp_path).fit(
            stage(1, optimizer="muon", drop_condition=0.1),
            data(tmp_path / "latents"),
            ckpt_path=tmp_path / "newer.ckpt",
        )


def test_latents_of_another_autoencoder_are_refused_on_resuming(undisturbed, tmp_path):
    other = small.make_cache(tmp_path / "latents", small.make_autoencoder(seed=1))
    module = stage(1, optimizer="muon", drop_condition=0.1)
    with pytest.raises(ValueError, match="the checkpoint holds another stage: autoencoder"):
        trainer(tmp_path).fit(module, data(other), ckpt_path=undisturbed[0] / "step=4.ckpt")
