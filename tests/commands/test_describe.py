"""`lagem describe` prints the sizes and the cost of the network that an experiment file trains."""

import json
from pathlib import Path

import pytest

import small_cascade as small
from lagem.cli import main

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
TOY = EXPERIMENTS / "autoencoder" / "toy.yaml"


def test_json_has_the_sizes_of_the_file(capsys):
    main(["describe", str(TOY), "--json"])
    description = json.loads(capsys.readouterr().out)
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
    main(["describe", str(stage), "--json"])
    description = json.loads(capsys.readouterr().out)
    assert description["level"] == 2 and description["evaluation"] > 1e6
    main(["describe", str(stage)])
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
    main(["describe", stage, "--json"])
    assert [level["num_latents"] for level in json.loads(capsys.readouterr().out)["levels"]] == [16, 8, 4]
    main(["describe", stage])
    assert "given one of 8 categories" in capsys.readouterr().out


def test_a_missing_file_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["describe", "absent.yaml"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.strip() == "lagem: error: absent.yaml: there is no such file."
