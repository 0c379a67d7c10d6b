"""ExportSamples writes the samples of a stage with the ids and frames of their shapes, and does not alter training."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from safetensors import safe_open

import small_cascade as small
from lagem.callbacks.sample_export import ExportSamples
from lagem.data_modules.latents import LatentDataModule
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.latents.cache import LatentCache
from lagem.modules.autoencoder import AutoencoderModule
from lagem.modules.stage import CascadeStageModule
from lagem.samples import LatentBatch


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Return a latent cache whose autoencoder was moved out of it, into the parent folder of the cache."""
    folder = tmp_path_factory.mktemp("cache")
    latents = small.make_cache(folder / "latents", small.make_autoencoder())
    (latents / "autoencoder.safetensors").rename(folder / "autoencoder.safetensors")
    return latents


def data(cache: Path) -> LatentDataModule:
    return LatentDataModule(root=str(cache), batch_size=4, num_workers=0, condition="category")


def stage(level: int = 2, **changes) -> CascadeStageModule:
    """Make a stage. Its weights are reproducible, and the output of its network is not zero."""
    torch.manual_seed(level)
    module = CascadeStageModule(level=level, levels=small.LEVELS, width=64, depth=1, num_categories=8, **changes)
    torch.manual_seed(level)
    torch.nn.init.normal_(module.denoiser.backbone.to_latents.weight, std=0.1)
    return module


def trainer(folder: Path, *callbacks: ExportSamples, **settings) -> Trainer:
    settings = {"enable_checkpointing": False, "max_steps": 8, "num_sanity_val_steps": 1, **settings}
    return Trainer(
        accelerator="cpu", devices=1, use_distributed_sampler=False, logger=CSVLogger(folder), default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks), **settings,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Return the latents, the centre and the scale of each shape in the files of a folder, by the shape's id."""
    found = {}
    for path in folder.glob("latents_*.safetensors"):
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["lagem"])
            arrays = [file.get_tensor(name) for name in (f"level_{about['level']}", "center", "scale")]
        found |= dict(zip(about["ids"], zip(*arrays, strict=True), strict=True))
    return found


def test_predict_writes_each_sample_with_its_id_and_frame(cache, tmp_path):
    module, run = stage(), trainer(tmp_path, ExportSamples())
    sampled = torch.cat(run.predict(module, data(cache)))
    found, held = contents(tmp_path / "predictions"), LatentCache(cache)
    ids = [id for id, split in zip(held.ids, held.splits, strict=True) if split == "val"]
    assert sorted(found) == sorted(ids) and len(ids) == 8
    by_bytes = {latents.tobytes() for latents, _, _ in found.values()}
    assert by_bytes == {row.numpy().tobytes() for row in sampled}
    for id, (_, center, scale) in found.items():
        frame = held.frame(held.ids.index(id))
        assert np.array_equal(center, frame.center) and scale == frame.scale
    assert not list(tmp_path.rglob("*.ply"))


@pytest.mark.parametrize("source", ["named", "in the cache"])
def test_an_autoencoder_gives_meshes_of_the_sampled_latents_and_a_picture(cache, tmp_path, source):
    weights = cache.parent / "autoencoder.safetensors"
    module = stage(autoencoder=weights if source == "named" else None)
    if source == "in the cache":
        cache = shutil.copytree(cache, tmp_path / "latents")
        shutil.copy(weights, cache)
    export = ExportSamples(num_shapes=6, resolution=16)  # a batch and a half
    trainer(tmp_path, export).validate(module, data(cache), verbose=False)
    folder = tmp_path / "samples" / "validate"
    found, held = contents(folder), LatentCache(cache)
    assert len(found) == 6
    meshes = list(folder.glob("*.ply"))
    assert meshes and {path.stem for path in meshes} <= set(found)
    for path in meshes:
        place = held.ids.index(path.stem)
        assert np.abs(held.frame(place).to_unit(load_mesh(path).vertices)).max() <= 1 + 2 / 16
    assert Image.open(tmp_path / "samples" / "validate.png").size[0] > 6 * 320


def test_samples_are_written_every_so_many_validations_and_by_a_resumed_run_too(cache, tmp_path):
    settings = {"val_check_interval": 2, "check_val_every_n_epoch": None}
    run = trainer(tmp_path, ExportSamples(every=2, num_shapes=1), **settings)
    run.fit(stage(), data(cache))
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step_4", "step_8"]
    run = trainer(tmp_path / "half", ExportSamples(every=2, num_shapes=1), **settings, **{"max_steps": 2})
    run.fit(stage(), data(cache))
    run.save_checkpoint(tmp_path / "half.ckpt")
    rest = trainer(tmp_path / "rest", ExportSamples(every=2, num_shapes=1), **settings)
    rest.fit(stage(), data(cache), ckpt_path=tmp_path / "half.ckpt")
    assert sorted(path.name for path in (tmp_path / "rest" / "samples").iterdir()) == ["step_4", "step_8"]


def test_exporting_changes_no_bit_of_a_training(cache, tmp_path):
    settings = {"val_check_interval": 2, "check_val_every_n_epoch": None}
    plain, exporting = stage(), stage(autoencoder=cache.parent / "autoencoder.safetensors")
    trainer(tmp_path / "plain", **settings).fit(plain, data(cache))
    trainer(tmp_path / "export", ExportSamples(num_shapes=2, resolution=8), **settings).fit(exporting, data(cache))
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, exporting.state_dict()[name]), name


def test_a_model_that_samples_nothing_is_refused(cache, tmp_path):
    with pytest.raises(ValueError, match="the model is AutoencoderModule"):
        trainer(tmp_path, ExportSamples()).fit(AutoencoderModule(levels=small.LEVELS, width=64), data(cache))


@pytest.mark.parametrize("up", ["z", "y"])
def test_a_sampled_glb_stands_by_the_axis_of_the_shapes(up, tmp_path):
    frame = Frame(center=np.array([10.0, 20, 30]), scale=0.5)
    batch = LatentBatch(ids=["ball"], categories=[""], condition=None, latents=[torch.zeros(1, 4, 2)], frames=[frame])
    ball = SimpleNamespace(select=lambda index: lambda points: 0.5 - points.norm(dim=1))
    module = SimpleNamespace(level=1, fingerprint="", fields=lambda batch, sampled: ball)
    run = SimpleNamespace(default_root_dir=str(tmp_path), global_rank=0, progress_bar_callback=None)
    ExportSamples(resolution=16, format="glb", up=up).on_predict_batch_end(run, module, batch.latents[0], batch, 0)
    found = trimesh.load_scene(tmp_path / "predictions" / "ball.glb").to_mesh().bounds
    np.testing.assert_allclose(found.mean(axis=0), [10, 30, -20] if up == "z" else [10, 20, 30], atol=1e-3)
    np.testing.assert_allclose(np.ptp(found, axis=0), [2, 2, 2], atol=0.05)
