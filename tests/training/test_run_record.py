"""The record in a run folder says how the run was started, and a fit with its config.yaml repeats the run."""

import csv
import json
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import small_run
from lagem.cli import main
from lagem.training.run_record import revision

ROOT = Path(__file__).resolve().parents[2]


def losses(folder: Path) -> list[tuple[str, str]]:
    with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
        return [(row["step"], row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


@pytest.fixture(scope="module")
def layer(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("layer") / "smaller.yaml"
    path.write_text("data: {init_args: {num_volume_queries: 24, num_near_queries: '${.num_volume_queries}'}}\n")
    return path


@pytest.fixture(scope="module")
def run(layer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    main(command(folder, layer))
    return folder


def command(folder: Path, layer: Path) -> list[str]:
    words = [
        word for word in small_run.small_fit(folder, steps=3) if "num_near" not in word and "num_volume" not in word
    ]
    return [words[0], words[1], f"--config={layer}", "--data.init_args.num_volume_queries=20", *words[2:]]


def test_the_saved_configuration_repeats_the_run_in_another_folder(run, tmp_path):
    main(["fit", "--config", str(run / "config.yaml"), f"--trainer.default_root_dir={tmp_path}"])
    assert len(losses(run)) == 3
    assert losses(tmp_path) == losses(run)


def test_an_override_reaches_what_a_layer_ties_to_it(run):
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    assert (data["num_volume_queries"], data["num_near_queries"]) == (20, 20)


def test_the_configuration_files_are_kept_as_given_and_in_order(run, layer):
    kept = sorted((run / "sources").iterdir())
    assert [path.name for path in kept] == ["0-toy.yaml", "1-smaller.yaml"]
    assert [path.read_bytes() for path in kept] == [small_run.TOY.read_bytes(), layer.read_bytes()]


def test_the_record_says_how_where_and_with_what_the_run_was_started(run, layer):
    (start,) = json.loads((run / "run.json").read_text())
    assert shlex.split(start["command"]) == ["lagem", *command(run, layer)]
    assert start["versions"].keys() >= {"lagem", "torch", "lightning", "numpy"}
    head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:  # a checkout
        assert start["revision"]["commit"] == head.stdout.strip()
    assert start["host"] and start["time"].endswith("+00:00") and start["slurm"] == {}


def test_every_start_adds_its_record_with_its_slurm_job(run, layer, tmp_path, monkeypatch):
    main(command(tmp_path, layer))
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")  # so Lightning does not take this for a SLURM task
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    main([*command(tmp_path, layer), "--ckpt_path=last", "--trainer.max_steps=4"])
    first, second = json.loads((tmp_path / "run.json").read_text())
    assert first["slurm"] == {}
    assert (second["slurm"]["SLURM_JOB_ID"], second["slurm"]["SLURM_RESTART_COUNT"]) == ("41", "2")
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["trainer"]["max_steps"] == 4


def test_a_validation_leaves_the_record_of_the_run(run, layer):
    before = {path: path.read_bytes() for path in run.glob("*.*")}
    words = command(run, layer)
    main(["validate", *words[1:], f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"])
    assert {path: path.read_bytes() for path in run.glob("*.*")} == before


def test_a_revision_is_that_of_the_own_checkout_and_tells_changes(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    installed = tmp_path / "venv" / "lagem"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    git("init", "-q")
    assert revision(installed) is None  # below a checkout, but no part of it
    git("add", ".")
    git("commit", "-qm", "x")
    assert revision(installed)["changed"] is False
    (installed / "__init__.py").write_text("changed")
    assert revision(installed)["changed"] is True
    assert revision(tmp_path / "elsewhere") is None
