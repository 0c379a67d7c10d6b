"""Every shipped experiment parses and describes itself; published models have the published size; each kind runs."""

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

import small_cascade
import small_run
from lagem.cli import main
from lagem.latents.encoding import EncodeSettings
from lagem.latents.pipeline import encode
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.models.embedding import OCTAVES
from lagem.procedural.furniture import CATEGORIES
from lagem.procedural.surfaces import ProceduralSurfaces
from lagem.training.cli import TrainingCLI, parse_experiment
from lagem.training.description import describe_experiment

ROOT = Path(__file__).resolve().parents[1]
RUN_CONFIGS = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "experiments").rglob("*.yaml")
    if not {"layers", "slurm", "sweeps"} & set(path.parts)
)
# model.md, 'Parameter counts'
PUBLISHED_PARAMETERS = {
    "objaverse": 499_852_625,
    "shapenet": 125_088_425,
    "shapenet_table3": 125_145_937,
    "vecset_shapenet": 106_128_913,
    "vecset_objaverse": 424_242_305,
}
MONITORS = {"val/loss", "val/chamfer", "val/fscore", "val/iou"}
# of each cascade whose folder does not have the name of its autoencoder
AUTOENCODER_OF = {"objaverse10k": "objaverse", "meshes": "meshes_fewer_octaves"}


def settings_of(path: Path) -> dict:
    return yaml.safe_load((ROOT / path).read_text())


def model_of(path: Path) -> dict:
    return settings_of(path)["model"]["init_args"]


def is_stage(path: Path) -> bool:
    """Return whether an experiment lies in experiments/cascade/, which means that it trains a stage of a cascade."""
    return path.parts[1] == "cascade"


STAGES = [path for path in RUN_CONFIGS if is_stage(path)]


def test_there_are_experiments():
    assert {path.stem for path in RUN_CONFIGS} >= {"toy", "meshes", *PUBLISHED_PARAMETERS}
    assert {path.parent.name for path in STAGES} >= {"toy", "meshes", "shapenet", "objaverse10k"}


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_an_experiment_parses(path):
    module = "CascadeStageModule" if is_stage(path) else "AutoencoderModule"
    assert parse_experiment(ROOT / path).model.class_path == f"lagem.modules.{module}"


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "layers").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_layer_goes_over_an_experiment(path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "run")
    experiment = ROOT / "experiments" / "autoencoder" / "objaverse.yaml"
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(experiment), "--config", str(path), "--print_config"])
    assert not stop.value.code


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_an_experiment_says_what_it_reproduces_costs_and_how_to_run_it(path):
    head = head_of(path)
    for word in ("eproduces", "Cost", "Run: "):
        assert word in head
    (named,) = set(re.findall(r"--config (\S+)", head))
    assert named == str(path)


def levels_of_autoencoder(path: Path) -> list[dict]:
    """Return the levels of the autoencoder to which a stage belongs, from the autoencoder's experiment."""
    name = AUTOENCODER_OF.get(path.parent.name, path.parent.name)
    return model_of(Path("experiments", "autoencoder", f"{name}.yaml"))["levels"]


@pytest.mark.parametrize("path", STAGES, ids=str)
def test_a_stage_is_made_for_the_levels_of_its_autoencoders_experiment_or_those_of_its_data(path):
    stage = model_of(path)
    assert stage.get("levels", levels_of_autoencoder(path)) == levels_of_autoencoder(path)
    assert path.stem == f"level_{stage['level']}"


CONTINUED = [path for path in RUN_CONFIGS if "init_from" in model_of(path)]


def first_part_of(path: Path) -> Path:
    """Return <name>.yaml, the earlier experiment: `init_from` in `path` names its weights, in runs/<name>/."""
    return path.with_name(f"{Path(model_of(path)['init_from']).parts[1]}.yaml")


@pytest.mark.parametrize("path", CONTINUED, ids=str)
def test_an_experiment_can_go_on_from_the_checkpoint_of_its_first_part(path):
    first, second = model_of(first_part_of(path)), model_of(path)
    run_folder = Path(settings_of(first_part_of(path))["trainer"]["default_root_dir"])
    assert second["init_from"] == str(run_folder / "checkpoints" / "last.ckpt")
    for name in ("width", "skip"):
        assert first.get(name) == second.get(name)
    assert second.get("octaves", OCTAVES) <= first.get("octaves", OCTAVES)
    for before, after in zip(first["levels"], second["levels"], strict=True):
        assert before["depth"] <= after["depth"]
        assert {**before, "num_latents": None, "depth": None} == {**after, "num_latents": None, "depth": None}


@pytest.mark.parametrize("folder", sorted({path.parent for path in STAGES}), ids=str)
def test_a_cascade_has_a_stage_for_each_level(folder):
    stages = [model_of(path) for path in sorted((ROOT / folder).glob("*.yaml"))]
    assert [stage["level"] for stage in stages] == list(range(1, len(levels_of_autoencoder(folder / "_")) + 1))
    for name in ("num_categories", "condition_dim"):
        assert len({stage.get(name) for stage in stages}) == 1


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_monitors_are_the_fixed_metric_names(path):
    assert unknown_monitors(settings_of(path)) == []


def test_an_unknown_monitor_is_found():
    callbacks = [{"init_args": {"monitor": "val/cd"}}, {"init_args": {"monitor": "val/loss"}}]
    assert unknown_monitors({"trainer": {"callbacks": callbacks}}) == ["val/cd"]


def unknown_monitors(settings) -> list[str]:
    if isinstance(settings, list):
        return [name for item in settings for name in unknown_monitors(item)]
    if not isinstance(settings, dict):
        return []
    own = [settings["monitor"]] if settings.get("monitor", "val/loss") not in MONITORS else []
    return own + unknown_monitors(list(settings.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_a_published_model_has_its_published_number_of_parameters(name):
    description = describe_experiment(ROOT / "experiments" / "autoencoder" / f"{name}.yaml")
    assert description["parameters"] == PUBLISHED_PARAMETERS[name]


def head_of(path: Path) -> str:
    return "".join(line for line in (ROOT / path).open() if line.startswith("#"))


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in STAGES if "M parameters" in head_of(path)], ids=str)
def test_the_costs_in_the_head_of_a_stage_are_those_of_describe(path):
    figures = r"([\d.]+) M parameters, ([\d.]+) TFLOP and ([\d.]+) GiB .*?takes ([\d,]+) GFLOP"
    found = re.search(figures, head_of(path), re.S)
    description = describe_experiment(ROOT / path)
    parameters, operations, kept, evaluation = (float(figure.replace(",", "")) for figure in found.groups())
    assert parameters == pytest.approx(description["parameters"] / 1e6, abs=0.005)
    assert operations == pytest.approx(description["operations"] / 1e12, abs=0.05)
    assert kept == pytest.approx(description["saved_bytes"] / 2**30, abs=0.06)
    assert evaluation == pytest.approx(description["evaluation"] / 1e9, abs=0.5)


SMALLER = {
    "width": 64, "depth": 1, "batch_size": 4, "num_surface_points": 64, "num_volume_queries": 16,
    "num_near_queries": 16, "num_workers": 0, "every_n_train_steps": 2,
}  # fmt: skip


# Added even if an experiment keeps the defaults, which are slow: the surface of an untrained network fills the grid.
SMALLER_SCORES = {
    "LogGeometryMetrics": {"num_shapes": 2, "resolution": 8, "points": 50},
    "ExportMeshes": {"num_shapes": 2, "resolution": 8},
}


def shrunk(path: Path, folder: Path) -> dict:
    """Return the settings of an experiment with small sizes, one CPU process, and procedural shapes or latents."""
    settings = settings_of(path)
    trainer, model, data = settings["trainer"], settings["model"]["init_args"], settings["data"]
    for part in (model, data["init_args"], *(callback["init_args"] for callback in trainer["callbacks"])):
        part.update({name: value for name, value in SMALLER.items() if name in part})
    for callback in trainer["callbacks"]:
        callback["init_args"].update(SMALLER_SCORES.get(callback["class_path"], {}))
    if "levels" in model:
        model["levels"] = smaller(model["levels"])
    if is_stage(path):
        data["init_args"]["root"] = str(folder.parent / "latents")
        if "embeddings" in data["init_args"]["condition"]:
            data["init_args"]["condition"] = str(folder.parent / "embeddings.safetensors")
        if "num_categories" in model:
            model["num_categories"] = len(CATEGORIES)
    else:
        data["class_path"] = "ProceduralDataModule"
        for name in ("root", "outside_within", "universe_fraction"):
            data["init_args"].pop(name, None)
        data["init_args"].update(num_train=16, num_val=4, reference_points=100, reference_volume_points=100)
    trainer.update(accelerator="cpu", devices=1, num_nodes=1, strategy="auto", max_steps=2, val_check_interval=2)
    trainer.update(check_val_every_n_epoch=None, enable_progress_bar=False, default_root_dir=str(folder))
    return settings


def smaller(levels: list[dict]) -> list[dict]:
    """Return copies of the levels, each shrunk to few latents, few channels and at most one block."""
    sized = zip(levels, [4**number for number in range(len(levels), 0, -1)], strict=True)
    return [{**level, "num_latents": size, "latent_dim": 4, "depth": min(level["depth"], 1)} for level, size in sized]


PATHS = ("default_root_dir", "root", "init_from")


def kind_of(settings, key: str = ""):
    """Reduce settings to what decides which code runs: sizes become True, or False if 0; paths are left out."""
    if isinstance(settings, dict):
        return {name: kind_of(value, name) for name, value in settings.items() if name not in PATHS}
    if isinstance(settings, list):
        return [kind_of(value) for value in settings]
    is_size = isinstance(settings, int | float) and not isinstance(settings, bool) and key != "level"
    return bool(settings) if is_size else settings


def one_of_each_kind(options: dict[Path, str]) -> list[Path]:
    """Group experiments that run the same code with the same options (`options[path]`); return one of each group."""
    kinds: dict[str, Path] = {}
    for path in options:
        first = str(first_part_of(path)) if path in CONTINUED else None
        kinds.setdefault(json.dumps([kind_of(shrunk(path, Path("run"))), first, options[path]], sort_keys=True), path)
    return list(kinds.values())


def test_kinds_differ_in_more_than_sizes():
    toy = settings_of(Path("experiments", "autoencoder", "toy.yaml"))
    larger, other, off = (copy.deepcopy(toy) for _ in range(3))
    larger["model"]["init_args"]["width"] = 128
    other["data"]["class_path"] = "OccupancyDataModule"
    off["model"]["init_args"]["width"] = 0
    assert kind_of(larger) == kind_of(toy) != kind_of(other) and kind_of(toy) != kind_of(off)


SmallRun = Callable[..., tuple[Path, TrainingCLI]]


@pytest.fixture(scope="module")
def small_run_of(tmp_path_factory) -> SmallRun:
    """Return a cached function that runs a small version of an experiment and returns its folder and CLI object."""

    @cache
    def run(path: Path, *options: str) -> tuple[Path, TrainingCLI]:
        folder = tmp_path_factory.mktemp("experiment")
        settings = shrunk(path, folder / "run")
        (folder / "small.yaml").write_text(yaml.safe_dump(settings))
        if is_stage(path):
            levels = [LevelSpec(**level) for level in smaller(levels_of_autoencoder(path))]
            autoencoder = Autoencoder(levels=levels, width=64)
            surfaces = ProceduralSurfaces(num_train=16, num_val=4, seed=0)
            encode(autoencoder, surfaces, folder / "latents", EncodeSettings(num_surface_points=64, subsets=1))
            if "embeddings" in settings["data"]["init_args"]["condition"]:
                small_cascade.write_clouds(folder / "embeddings.safetensors", autoencoder, surfaces)
        if path in CONTINUED:
            first, _ = run(first_part_of(path))
            options = (*options, f"--model.init_args.init_from={first / 'checkpoints' / 'last.ckpt'}")
        return folder / "run", main(["fit", "--config", str(folder / "small.yaml"), *options])

    return run


@pytest.mark.parametrize("path", one_of_each_kind(dict.fromkeys(RUN_CONFIGS, "")), ids=str)
def test_an_experiment_of_each_kind_runs_at_a_small_size(path, small_run_of):
    folder, cli = small_run_of(path)
    assert cli.trainer.global_step == 2 and (folder / "checkpoints" / "last.ckpt").is_file()
    expected = {"val/loss_sigma_1"} if is_stage(path) else {"val/iou", "val/fscore"}
    assert {"val/loss", *expected} <= cli.trainer.callback_metrics.keys()


UNCONDITIONAL = {path: found[1] for path in STAGES if (found := re.search(r"Unconditional: (.*)", head_of(path)))}
QUICK = {(path.parent, options): path for path, options in reversed(UNCONDITIONAL.items())}.values()
CASES = [pytest.param(path, marks=[pytest.mark.slow] * (path not in QUICK)) for path in one_of_each_kind(UNCONDITIONAL)]


@pytest.mark.parametrize("path", CASES, ids=str)
def test_the_options_in_the_head_make_a_stage_unconditional(path, small_run_of):
    _, cli = small_run_of(path, *UNCONDITIONAL[path].split())
    assert cli.trainer.global_step == 2 and not cli.model.spec.is_conditional


def test_one_seed_serves_training_and_data(tmp_path):
    cli = main(small_run.small_fit(tmp_path, "--seed_everything=7", steps=1))
    assert cli.datamodule.seed == 7
