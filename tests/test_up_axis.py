"""The axis that `lagem prepare --up` stores is that of every picture: of evaluations, reports, fits and cascades.

Each command draws a folder that states y as it draws, with `--up y`, a folder with the same shapes that states nothing.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer
from safetensors import safe_open
from safetensors.numpy import load_file, save

import small_cascade as small
from lagem.callbacks.mesh_export import ExportMeshes
from lagem.callbacks.sample_export import ExportSamples
from lagem.cli import main
from lagem.data_modules.latents import LatentDataModule
from lagem.data_modules.occupancy import OccupancyDataModule
from lagem.generation.bundle import load_cascade
from lagem.generation.settings import SamplerSettings, SurfaceSettings
from lagem.geometry.mesh import Mesh
from lagem.latents.cache import LatentCache
from lagem.modules.autoencoder import AutoencoderModule
from lagem.modules.stage import CascadeStageModule
from lagem.preparation.settings import Settings
from lagem.reports.evaluation import evaluation_sections
from lagem.reports.page.content import Gallery, Row
from lagem.reports.reconstructions import ShapeSettings
from lagem.reports.run import run_sections
from lagem.reports.samples import samples_sections
from lagem.weights.autoencoder import save_autoencoder
from toy_shapes import TRAINING, prepare_toys

SETTINGS = Settings(surface=500, volume=500, near=200, inside=20, shapes_per_shard=4)
COARSE = ["--resolution", "8"]
STATED, UNKNOWN = "stated", "unknown"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with weights and, for `stated` and `unknown` each, a prepared folder, a cache, stages and a bundle."""
    folder = tmp_path_factory.mktemp("made")
    autoencoder = small.make_autoencoder()
    save_autoencoder(autoencoder, folder / "autoencoder.safetensors", num_surface_points=small.POINTS)
    for name, up in ((STATED, "y"), (UNKNOWN, None)):
        own = folder / name
        own.mkdir()
        few = ("ball", "brick", "torus")
        prepare_toys(own, settings=replace(SETTINGS, up=up), only=few).rename(own / "prepared")
        main(["encode", str(folder / "autoencoder.safetensors"), str(own / "prepared"), "--subsets", "1",
              "--output", str(own / "cache")])  # fmt: skip
        for level in (1, 2, 3):
            fit_stage(own, level)
        stages = [str(own / f"stage_{level}.ckpt") for level in (1, 2, 3)]
        main(["bundle", str(folder / "autoencoder.safetensors"), *stages, "--output", str(own / "bundle")])
    return folder


def trainer(folder: Path, *callbacks, **settings) -> Trainer:
    return Trainer(
        accelerator="cpu", devices=1, use_distributed_sampler=False, logger=False, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, callbacks=list(callbacks),
        **settings,
    )  # fmt: skip


def stage(level: int) -> CascadeStageModule:
    """Make a stage. Its weights are reproducible, and the output of its network is not zero."""
    torch.manual_seed(level)
    module = CascadeStageModule(level=level, levels=small.LEVELS, width=64, depth=1, num_categories=2)
    torch.nn.init.normal_(module.denoiser.backbone.to_latents.weight, std=0.1)
    return module


def latents(own: Path) -> LatentDataModule:
    return LatentDataModule(root=str(own / "cache"), batch_size=2, num_workers=0, condition="category")


def occupancy(own: Path) -> OccupancyDataModule:
    few = {"num_surface_points": 64, "num_volume_queries": 16, "num_near_queries": 16}
    return OccupancyDataModule(root=str(own / "prepared"), batch_size=2, num_workers=0, **few)


def fit_stage(own: Path, level: int) -> None:
    run = trainer(own, max_steps=1, limit_val_batches=0)
    run.fit(stage(level), latents(own))
    run.save_checkpoint(own / f"stage_{level}.ckpt")


def assert_stated_axis_is_drawn(draw: Callable[..., object], made: Path) -> None:
    """Check the axis of what `draw` returns, given a folder of `made` and, as the keyword `up`, an explicit axis."""
    upright, lying = draw(made / UNKNOWN, up="y"), draw(made / UNKNOWN, up="z")
    assert upright != lying
    assert draw(made / STATED, up=None) == upright, "the stated axis is not the default"
    assert draw(made / STATED, up="z") == lying, "an explicit axis does not win"
    assert draw(made / UNKNOWN, up=None) == lying, "the axis of a folder that states none is not z"


def option(up: str | None) -> list[str]:
    return [] if up is None else ["--up", up]


@pytest.mark.parametrize(("verb", "picture"), [("evaluate", "examples.png"), ("levels", "levels.png")])
def test_the_pictures_of_scores_have_the_axis_of_the_prepared_folder(verb, picture, made, tmp_path):
    def draw(own, up):
        output = tmp_path / f"{own.name}_{up}"
        main([verb, str(made / "autoencoder.safetensors"), str(own / "prepared"), "--output", str(output), *COARSE,
              "--points", "100", *option(up)])  # fmt: skip
        return (output / picture).read_bytes()

    assert_stated_axis_is_drawn(draw, made)


def test_the_retrieved_shapes_have_the_axis_of_the_prepared_folder(made, tmp_path):
    def draw(own, up):
        output = tmp_path / f"{own.name}_{up}"
        main(["evaluate", "retrieval", str(own / "prepared"), "--output", str(output), "--points", "100", *option(up)])
        return (output / "examples.png").read_bytes()

    assert_stated_axis_is_drawn(draw, made)


def test_evaluated_gltf_files_are_drawn_with_y_up_and_other_files_with_z_up(made, tmp_path):
    brick, pictures = TRAINING["brick"], {}
    for ending in ("glb", "ply"):
        Mesh(brick.vertices, brick.faces, up="y").save(tmp_path / ending / f"brick.{ending}")
        for up in (None, "y", "z"):
            output = tmp_path / f"{ending}_{up}"
            main(["evaluate", str(made / "autoencoder.safetensors"), str(tmp_path / ending), "--output", str(output),
                  "--points", "100", *COARSE, *option(up)])  # fmt: skip
            pictures[ending, up] = (output / "examples.png").read_bytes()
    assert pictures["glb", None] == pictures["glb", "y"] != pictures["glb", "z"]
    assert pictures["ply", None] == pictures["ply", "z"] != pictures["ply", "y"]


def test_the_report_of_an_evaluation_has_the_axis_of_the_prepared_folder(made, tmp_path):
    for name in (STATED, UNKNOWN):
        main(["evaluate", str(made / "autoencoder.safetensors"), str(made / name / "prepared"), "--points", "100",
              "--output", str(tmp_path / name), *COARSE])  # fmt: skip

    def draw(own, up):
        sections = evaluation_sections(tmp_path / own.name, ShapeSettings(resolution=8, up=up))
        rows = [block for section in sections for block in section.blocks if isinstance(block, Row)]
        return [view.shape for row in rows for view in row.views]

    assert_stated_axis_is_drawn(draw, made)


def write_run(folder: Path, config: dict) -> Path:
    (folder / "logs" / "version_0").mkdir(parents=True)
    (folder / "logs" / "version_0" / "metrics.csv").write_text("epoch,step,train/loss\n0,1,0.5\n")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.parametrize(
    ("data", "root", "exported"),
    [("OccupancyDataModule", "prepared", None), ("OccupancyDataModule", "prepared", "meshes"),
     ("LatentDataModule", "cache", "samples")],
)  # fmt: skip
def test_the_report_of_a_run_has_the_axis_of_its_data(data, root, exported, made, tmp_path):
    def draw(own, up):
        model = "AutoencoderModule" if exported is None else "CascadeStageModule"
        config = {"model": {"class_path": f"lagem.modules.{model}"}}
        config["data"] = {"class_path": f"lagem.data_modules.{data}", "init_args": {"root": str(own / root)}}
        run = write_run(tmp_path / f"{own.name}_{up}", config)
        if exported is None:
            shutil.copy(made / "autoencoder.safetensors", run / "autoencoder.safetensors")
        else:
            brick = TRAINING["brick"]
            Mesh(brick.vertices, brick.faces).save(run / exported / "step_1" / "brick.ply")
        *_, shapes = run_sections(run, ShapeSettings(resolution=8, up=up))
        blocks = [block for block in shapes.blocks if isinstance(block, Row | Gallery)]
        return [view.shape for block in blocks for view in block.views]

    assert_stated_axis_is_drawn(draw, made)


def validated(module: LightningModule, data, callback, folder: Path) -> dict[str, bytes]:
    """Validate, and return the files that the callback wrote."""
    trainer(folder, callback).validate(module, data, verbose=False)
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".glb", ".png"))
    assert {path.suffix for path in files} == {".glb", ".png"}
    return {path.name: path.read_bytes() for path in files}


def test_exported_meshes_have_the_axis_of_the_prepared_folder(made, tmp_path):
    def draw(own, up):
        module = AutoencoderModule(levels=small.LEVELS, width=64, init_from=made / "autoencoder.safetensors")
        export = ExportMeshes(num_shapes=1, resolution=8, format="glb", up=up)
        return validated(module, occupancy(own), export, tmp_path / f"{own.name}_{up}")

    assert_stated_axis_is_drawn(draw, made)


def test_exported_samples_have_the_axis_of_the_prepared_folder_that_was_encoded(made, tmp_path):
    def draw(own, up):
        export = ExportSamples(num_shapes=1, resolution=16, format="glb", up=up)
        return validated(stage(1), latents(own), export, tmp_path / f"{own.name}_{up}")

    assert_stated_axis_is_drawn(draw, made)


def test_a_stage_that_encodes_shapes_in_every_step_has_the_axis_of_the_prepared_folder(made, tmp_path):
    for name, up in ((STATED, "y"), (UNKNOWN, None)):
        module = CascadeStageModule(level=3, width=64, depth=1, autoencoder=made / "autoencoder.safetensors")
        trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module, occupancy(made / name))
        assert module.spec.up == up


FEW = ["--category", "toys", "--steps", "4", *COARSE]


def test_generated_shapes_have_the_axis_of_the_shapes_that_were_encoded(made, tmp_path):
    def draw(own, up):
        output = tmp_path / f"{own.name}_{up}"
        main(["generate", str(own / "bundle"), "--output", str(output), "--count", "3", "--format", "glb", *FEW,
              *option(up)])  # fmt: skip
        return {path.name: path.read_bytes() for path in output.iterdir() if path.suffix in (".glb", ".png")}

    assert_stated_axis_is_drawn(draw, made)


def test_meshes_generated_in_python_know_their_axis(made):
    quick = {"sampler": SamplerSettings(steps=[4]), "surface": SurfaceSettings(resolution=8)}
    for name, up, known in ((STATED, "y", "y"), (UNKNOWN, "z", None)):
        cascade = load_cascade(made / name / "bundle")
        shapes = cascade.generate(count=3, category="toys", **quick)
        assert cascade.up == known and {shape.mesh.up for shape in shapes if shape.mesh is not None} == {up}


@pytest.mark.parametrize(("study", "option_of_study"), [("sharing", ["--variants", "2"]), ("mixing", ["--mix"])])
def test_studies_of_a_cascade_have_the_axis_of_the_shapes_that_were_encoded(study, option_of_study, made, tmp_path):
    def draw(own, up):
        output = tmp_path / f"{own.name}_{up}"
        main(["vary", str(own / "bundle"), "--output", str(output), "--groups", "1", *option_of_study, *FEW,
              *option(up)])  # fmt: skip
        return {path.name: path.read_bytes() for path in output.glob(f"{study}*.png")}

    assert_stated_axis_is_drawn(draw, made)


def samples(made: Path, output: Path) -> Path:
    """Generate the samples of each cascade into a subfolder, both as ply files, which do not state their axis."""
    for name in (STATED, UNKNOWN):
        main(["generate", str(made / name / "bundle"), "--output", str(output / name), "--count", "3", *FEW])
    return output


def shapes_of_samples(folder: Path, up: str | None) -> list[object]:
    (section,) = samples_sections(folder, ShapeSettings(up=up))
    return [view.shape for block in section.blocks if isinstance(block, Gallery) for view in block.views]


def test_the_report_of_samples_has_the_axis_that_they_were_generated_with(made, tmp_path):
    samples(made, tmp_path)
    assert_stated_axis_is_drawn(lambda own, up: shapes_of_samples(tmp_path / own.name, up), made)


def test_each_folder_of_samples_in_a_report_has_its_own_axis(made, tmp_path):
    samples(made, tmp_path)
    upright, lying = (shapes_of_samples(tmp_path / name, None) for name in (STATED, UNKNOWN))
    assert shapes_of_samples(tmp_path, None) == [*upright, *lying]


@pytest.mark.parametrize(
    "settings", [{"data": []}, {"data": {"settings": []}}, {"data": {"settings": {"up": "x"}}},
                 {"data": {"settings": {"up": ["y"]}}}]
)  # fmt: skip
def test_an_axis_of_a_cache_that_is_none_counts_as_unknown(settings, made, tmp_path):
    cache = shutil.copytree(made / STATED / "cache", tmp_path / "cache")
    assert LatentCache(cache).up == "y"
    header = json.loads((cache / "format.json").read_text())
    header["settings"] |= settings
    (cache / "format.json").write_text(json.dumps(header))
    assert LatentCache(cache).up is None


def test_samples_that_state_no_axis_have_z_up_and_a_wrong_one_is_refused(made, tmp_path):
    folder = samples(made, tmp_path) / STATED
    lying, file = shapes_of_samples(folder, "z"), folder / "latents.safetensors"
    with safe_open(file, framework="np") as opened:
        about = json.loads(opened.metadata()["generation"])
    arrays = load_file(file)
    assert about.pop("up") == "y"
    file.write_bytes(save(arrays, metadata={"generation": json.dumps(about)}))
    assert shapes_of_samples(folder, None) == lying
    file.write_bytes(save(arrays, metadata={"generation": json.dumps(about | {"up": "x"})}))
    with pytest.raises(ValueError, match="up"):
        shapes_of_samples(folder, None)
