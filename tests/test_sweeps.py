"""The shipped sweeps: `lagem` parses the commands that W&B's agent builds from them, and uses the swept values."""

from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from lagem.cli import main
from lagem.training.description import describe_experiment

ROOT = Path(__file__).resolve().parents[1]
SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
MONITORS = {"val/loss", "val/chamfer", "val/fscore", "val/iou"}
FOLLOWERS = {
    "data.init_args.num_volume_queries": "data.init_args.num_near_queries"
}  # swept setting: setting that is interpolated from it

every_sweep = pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)


def suggestions(sweep: dict) -> list[dict]:
    """Return two suggestions, as a W&B server would send them: the first and the last value of every parameter."""
    ranges = {name: given.get("values") or [given["min"], given["max"]] for name, given in sweep["parameters"].items()}
    return [{name: values[end] for name, values in ranges.items()} for end in (0, -1)]


def agents_command(sweep: dict, suggestion: dict) -> list[str]:
    """Return the command line of a run, as `wandb agent` would build it."""
    args = {"args": {name: {"value": value} for name, value in suggestion.items()}}
    filled = create_sweep_command_args(args) | {"interpreter": ["python"], "program": [sweep["program"]]}
    filled |= {"env": ["/usr/bin/env"]}
    words = create_sweep_command(sweep["command"])
    return [part for word in words for part in (filled[word[2:-1]] if word.startswith("${") else [word])]


def value_at(settings: dict, key: str):
    for part in key.split("."):
        settings = settings[part]
    return settings


@every_sweep
def test_what_an_agent_would_run_parses_and_every_swept_value_arrives(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    monkeypatch.setenv("WANDB_RUN_ID", "run")
    sweep = yaml.safe_load(path.read_text())
    for suggestion in suggestions(sweep):
        words = agents_command(sweep, suggestion)
        assert words[:6] == ["/usr/bin/env", "bash", "experiments/sweeps/launch.sh", "python", "-m", "lagem"]
        with pytest.raises(SystemExit) as stop:
            main([*words[6:], "--print_config"])
        assert not stop.value.code
        settings = yaml.safe_load(capsys.readouterr().out)
        assert settings["trainer"]["default_root_dir"] == "runs/sweeps/sweep/run"
        layer = suggestion.pop("config", None)
        expected = suggestion | ({} if layer is None else leaves(yaml.safe_load(Path(layer).read_text())))
        expected |= {FOLLOWERS[key]: value for key, value in expected.items() if key in FOLLOWERS}
        assert {key: value_at(settings, key) for key in expected} == expected


def leaves(settings: dict, prefix: str = "") -> dict:
    found = {}
    for key, value in settings.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


@every_sweep
def test_a_sweep_looks_at_a_metric_that_is_logged_and_may_end_a_run_early(path):
    sweep = yaml.safe_load(path.read_text())
    assert sweep["metric"]["name"] in MONITORS
    assert sweep["early_terminate"]["type"] == "hyperband"


@pytest.mark.parametrize("path", [path for path in SWEEPS if path.stem != "size"], ids=lambda path: path.stem)
def test_a_run_of_a_sweep_has_ten_validations_for_hyperband_to_count(path):
    command = yaml.safe_load(path.read_text())["command"]
    (interval,) = [int(word.partition("=")[2]) for word in command if word.startswith("--trainer.val_check_interval=")]
    experiment = yaml.safe_load((ROOT / command[command.index("--config") + 1]).read_text())
    assert experiment["trainer"]["max_steps"] == 10 * interval


def test_some_sweep_reaches_an_interpolated_field():
    assert any(FOLLOWERS.keys() & yaml.safe_load(path.read_text())["parameters"].keys() for path in SWEEPS)


@pytest.mark.slow
def test_all_sizes_of_the_size_sweep_cost_the_same(tmp_path):
    toy = yaml.safe_load((ROOT / "experiments" / "autoencoder" / "toy.yaml").read_text())
    costs = []
    for path in yaml.safe_load((ROOT / "experiments" / "sweeps" / "size.yaml").read_text())["parameters"]["config"][
        "values"
    ]:
        layer = yaml.safe_load((ROOT / path).read_text())
        assert layer["trainer"]["max_steps"] == 10 * layer["trainer"]["val_check_interval"]
        toy["model"]["init_args"] |= layer["model"]["init_args"]
        (tmp_path / "size.yaml").write_text(yaml.safe_dump(toy))
        costs.append(describe_experiment(tmp_path / "size.yaml")["operations"] * layer["trainer"]["max_steps"])
    assert max(costs) < 1.02 * min(costs)
