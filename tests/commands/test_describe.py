"""`lagem describe` prints the sizes and the cost of the network that an experiment file trains."""

import json
from pathlib import Path

import pytest
import yaml

import small_cascade as small
from lagem.cli import main

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
TOY = EXPERIMENTS / "autoencoder" / "toy.yaml"


@pytest.fixture(scope="module")
def shallow(tmp_path_factory) -> Path:
    """The toy experiment with one small level: its blocks, which take most of the time, are not counted."""
    path = tmp_path_factory.mktemp("shallow") / "shallow.yaml"
    experiment = yaml.safe_load(TOY.read_text())
    experiment["model"]["init_args"]["levels"] = [{"num_latents": 16, "latent_dim": 8, "depth": 0}]
    path.write_text(yaml.safe_dump(experiment))
    return path


def described(capsys, *words: str) -> dict:
    main(["describe", *words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_json_has_the_sizes_of_the_file(capsys):
    description = described(capsys, str(TOY))
    assert [level["num_latents"] for level in description["levels"]] == [256, 64, 16]
    assert description["latent_floats"] == 256 * 8 + 64 * 16 + 16 * 32
    assert description["operations"] > 1e9 and description["saved_bytes"] > 1e6


def test_the_table_names_parameters_operations_and_activations(capsys):
    main(["describe", str(TOY)])
    printed = capsys.readouterr().out
    for word in ("parameters", "operations", "activations", "latent of a shape"):
        assert word in printed


def test_a_stage_is_described_with_the_cost_of_an_evaluation(capsys):
    stage = EXPERIMENTS / "cascade" / "toy" / "level_2.yaml"
    description = described(capsys, str(stage))
    assert description["level"] == 2 and description["evaluation"] > 1e6
    main(["describe", str(stage), "--model.init_args.depth=1"])
    printed = capsys.readouterr().out
    assert "makes level 2, given one of 8 categories" in printed and "one evaluation" in printed


def test_a_stage_that_takes_its_sizes_from_the_latents_is_described_with_them(capsys, tmp_path, monkeypatch):
    stage = str(EXPERIMENTS / "cascade" / "meshes" / "level_2.yaml")
    monkeypatch.setenv("LAGEM_LATENTS", str(tmp_path / "latents"))
    with pytest.raises(SystemExit):
        main(["describe", stage])
    assert f"{tmp_path / 'latents'}: there is no such folder; encode shapes with" in capsys.readouterr().err
    small.make_cache(tmp_path / "latents", small.make_autoencoder())
    capsys.readouterr()
    one_block = ["--model.init_args.depth=1"]
    assert [level["num_latents"] for level in described(capsys, stage, *one_block)["levels"]] == [16, 8, 4]
    main(["describe", stage, *one_block])
    assert "given one of 8 categories" in capsys.readouterr().out


def test_options_override_the_settings_as_a_changed_file_does(capsys, tmp_path, shallow):
    experiment = yaml.safe_load(shallow.read_text())
    experiment["model"]["init_args"]["width"] = 64
    experiment["data"]["init_args"]["batch_size"] = 3
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(experiment))
    changed = described(capsys, str(tmp_path / "changed.yaml"))
    words = ["--model.init_args.width", "64", "--data.init_args.batch_size=3"]
    overridden = described(capsys, str(shallow), *words)
    assert overridden.pop("overrides") == words and changed.pop("overrides") == []
    assert overridden.pop("config") == str(shallow) and changed.pop("config") == str(tmp_path / "changed.yaml")
    assert overridden == changed and changed != described(capsys, str(shallow))


def test_a_second_file_overrides_the_first_and_later_options_override_both(capsys, tmp_path, shallow):
    layer = tmp_path / "layer.yaml"
    layer.write_text("data: {init_args: {batch_size: 3, num_surface_points: 512}}")
    description = described(capsys, str(shallow), "--config", str(layer), "--data.init_args.batch_size", "5")
    assert (description["batch_size"], description["num_surface_points"]) == (5, 512)


def test_the_table_names_the_overrides_as_they_were_given(capsys, monkeypatch, shallow):
    monkeypatch.setenv("COLUMNS", "500")
    levels = "[{num_latents: 1024, latent_dim: 8, depth: 0}, {num_latents: 64, latent_dim: 16, depth: 0}]"
    main(["describe", str(shallow), "--model.init_args.levels", levels])
    printed = capsys.readouterr().out
    assert " ".join(f"--model.init_args.levels '{levels}'".split()) in " ".join(printed.split())
    assert "1,024 │" in printed


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([str(TOY), "--model.init_args.widht", "64"], "Option 'widht' is not accepted"),
        ([str(TOY), "--model.init_args.width", "wide"], "model.width: Expected a <class 'int'>. Got value: wide"),
        ([str(TOY), "--data.init_args.batch_size", "-1"], "batch_size must be from 0 to 16,777,216, but -1 was given"),
        ([str(TOY), "--unknown", "1"], "unrecognized arguments: --unknown 1"),
        ([str(TOY), "--config", "absent.yaml"], "absent.yaml: there is no such file"),
        ([str(TOY), "layer.yaml"], "layer.yaml: only one CONFIG is accepted; give a second file as --config"),
        ([str(TOY), "--model.init_args.width", "64", "layer.yaml"], "layer.yaml: only one CONFIG is accepted"),
        ([str(TOY), "--model.init_args.width=64", "layer.yaml"], "layer.yaml: only one CONFIG is accepted"),
        ([str(TOY), "--config", "--quiet"], "--config: no file follows it; give a file of settings"),
        (["--config", str(TOY), "--quiet"], "--config: name the experiment first"),
        (["--model.init_args.width", "64", str(TOY)], "width: name the experiment first"),
    ],
)
def test_a_mistake_in_the_overrides_is_one_line(words, reason, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["describe", *words])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and line.startswith("lagem: error: ") and reason in line


def test_a_missing_file_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["describe", "absent.yaml"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == "lagem: error: absent.yaml: there is no such file."
