"""Every shipped experiment: it parses, says what it is, has the published size, and a small version of it runs."""

import importlib.util
import re
from pathlib import Path

import pytest

from lagem.cli import main
from lagem.description import describe_experiment
from lagem.training_cli import parse_experiment

ROOT = Path(__file__).resolve().parents[1]
RUN_CONFIGS = sorted(
    path.relative_to(ROOT) for path in (ROOT / "experiments").rglob("*.yaml") if "sweeps" not in path.parts
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

_spec = importlib.util.spec_from_file_location("small_run", Path(__file__).with_name("small_run.py"))
small_run = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small_run)


def test_there_are_experiments():
    assert {path.stem for path in RUN_CONFIGS} >= {"toy", "meshes", *PUBLISHED_PARAMETERS}


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_an_experiment_parses(path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(ROOT / path), "--print_config"])
    assert not stop.value.code
    assert "class_path: lagem.modules.AutoencoderModule" in capsys.readouterr().out


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_an_experiment_says_what_it_reproduces_costs_and_how_to_run_it(path):
    head = "".join(line for line in (ROOT / path).open() if line.startswith("#"))
    for word in ("eproduces", "Cost", "Run: "):
        assert word in head
    (named,) = set(re.findall(r"--config (\S+)", head))
    assert named == str(path)


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_monitors_are_the_fixed_metric_names(path):
    monitors = set(re.findall(r"monitor: (\S+)", (ROOT / path).read_text()))
    assert monitors <= MONITORS


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_a_published_model_has_its_published_number_of_parameters(name):
    description = describe_experiment(ROOT / "experiments" / "autoencoder" / f"{name}.yaml")
    assert description["parameters"] == PUBLISHED_PARAMETERS[name]


@pytest.mark.parametrize("path", RUN_CONFIGS, ids=str)
def test_an_experiment_runs_at_a_small_size_on_procedural_shapes(path, tmp_path):
    """The model's own kind of levels at tiny sizes, one process, no GPU: every other setting is the file's."""
    levels = parse_experiment(ROOT / path).model.init_args.levels
    tiny = [
        f"{{num_latents: {2 ** (len(levels) + 2 - i)}, latent_dim: 4, depth: 1, bottleneck: {level.bottleneck}}}"
        for i, level in enumerate(levels)
    ]
    arguments = [
        a for a in small_run.small_fit(tmp_path, config=ROOT / path, steps=2) if "model.init_args.levels" not in a
    ]
    cli = main([
        *arguments,
        "--data.class_path=ProceduralDataModule",
        *small_run.SMALL_DATA,
        f"--model.init_args.levels=[{', '.join(tiny)}]",
        "--trainer.accelerator=cpu",
        "--trainer.devices=1",
        "--trainer.num_nodes=1",
        "--trainer.strategy=auto",
        "--trainer.check_val_every_n_epoch=null",
    ])  # fmt: skip
    assert cli.trainer.global_step == 2
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


def test_an_override_reaches_interpolated_fields(tmp_path, capsys):
    text = (ROOT / "experiments" / "autoencoder" / "toy.yaml").read_text()
    assert "num_near_queries: 256" in text
    config = tmp_path / "linked.yaml"
    config.write_text(text.replace("num_near_queries: 256", "num_near_queries: ${.num_volume_queries}"))
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(config), "--data.init_args.num_volume_queries=24", "--print_config"])
    assert "num_near_queries: 24" in capsys.readouterr().out


def test_one_seed_serves_training_and_data(tmp_path):
    cli = main(small_run.small_fit(tmp_path, "--seed_everything=7", steps=1))
    assert cli.datamodule.seed == 7
