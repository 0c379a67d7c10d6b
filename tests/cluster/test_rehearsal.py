"""A small version of the paper's chain of jobs, on a real SLURM: every kind of step runs on earlier results."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from lagem.cli import main
from lagem.cluster.chain import load_chain
from lagem.latents.cache import LatentCache

ROOT = Path(__file__).resolve().parents[2]
SLURM_FILES = ROOT / "experiments" / "slurm"
LEVELS = ["level_3", "level_2", "level_1"]
MOST_RANKS = 16  # the most that rehearsal.yaml allows; each rank needs a shape for training and one for validation


@pytest.fixture
def submit_chain(slurm, tmp_path, capsys, monkeypatch):
    """A function that submits the shipped rehearsal, and returns the job of each step that is not skipped."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump({"nodes": 2, "memory": "2G", "hours": 0.2}))
    chain = ["--chain", "experiments/slurm/rehearsal.yaml", "--runs", str(tmp_path / "my runs")]

    def submit() -> dict[str, str]:
        capsys.readouterr()
        main(["submit", "--profile", str(tmp_path / "profile.yaml"), *chain])
        return dict(re.findall(r"(\w+): job (\d+)", capsys.readouterr().out))

    return submit


def ids_of(table: Path) -> list[str]:
    with table.open(newline="") as rows:
        return sorted(row["id"] for row in csv.DictReader(rows))


def test_the_rehearsal_has_the_steps_of_the_papers_chain():
    def steps(name: str) -> list[tuple]:
        return [
            (step.name, step.command.split()[0], step.array > 0, step.after, step.profile.get("gpus_per_node"))
            for step in load_chain(SLURM_FILES / name)
        ]

    first, prepare, *others = steps("rehearsal.yaml")
    assert first == ("meshes", "generate", False, [], None) and prepare[3] == ["meshes"]
    assert [(*prepare[:3], [], prepare[4]), *others] == steps("paper.yaml")


@pytest.mark.parametrize("name", ["paper.yaml", "rehearsal.yaml"])
def test_the_stages_of_a_chain_are_made_for_the_levels_of_its_autoencoder(name):
    fits = [step.command for step in load_chain(SLURM_FILES / name) if step.command.startswith("fit ")]
    experiments = [yaml.safe_load((ROOT / re.findall(r"--config (\S+)", command)[0]).read_text()) for command in fits]
    models = [experiment["model"]["init_args"] for experiment in experiments]
    levels = models[0]["levels"]
    assert [model.get("levels", levels) for model in models] == [levels] * (1 + len(LEVELS))
    for model, command in zip(models, fits, strict=True):
        assert "init_from" not in model or "--model.init_args.init_from null" in command


@pytest.mark.cluster
def test_the_whole_chain_runs_to_its_end(slurm, submit_chain, tmp_path):
    jobs = submit_chain()
    assert list(jobs) == [step.name for step in load_chain(SLURM_FILES / "rehearsal.yaml")]
    run = tmp_path / "my runs" / "rehearsal"
    logs = {}
    for name, job in jobs.items():
        state = slurm.wait(job, timeout=240)["JobState"]
        logs[name] = (run / name / f"slurm-{job}.out").read_text()
        assert state == "COMPLETED", (name, logs[name][-3000:])
    assert [name for name, log in logs.items() if "MEMBER: 2/2" in log] == ["autoencoder", *LEVELS]
    with (run / "prepare" / "data" / "index.csv").open(newline="") as rows:
        splits = {row["id"]: row["split"] for row in csv.DictReader(rows)}
    assert len(splits) == len(list((run / "meshes" / "furniture").rglob("*.ply")))
    assert ids_of(run / "evaluation" / "card" / "scores.csv") == sorted(id for id in splits if splits[id] == "val")
    cache = LatentCache(run / "latents" / "cache")
    chosen = [line for line in (run / "ids" / "ids.txt").read_text().splitlines() if not line.startswith("#")]
    assert cache.ids == sorted(chosen)
    assert all(len(cache.members(None)[split]) >= MOST_RANKS for split in ("train", "val"))
    generation = json.loads((run / "generation" / "card" / "generation.json").read_text())
    assert generation["about"]["samples"] == 4
    assert submit_chain() == {}
