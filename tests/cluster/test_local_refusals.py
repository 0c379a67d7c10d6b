"""A chain is refused before its first step starts, if one of its steps may not run here."""

import shlex
from pathlib import Path

import pytest

from lagem.cli import main
from lagem.cluster.chain import jobs_of, load_chain
from lagem.storage.parts import locked
from local_chain import Chains, long_fit, step


@pytest.fixture
def chains(tmp_path) -> Chains:
    return Chains(tmp_path)


def refusal(capsys, words: list[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_chain_runs_only_once_at_a_time(chains, capsys):
    chains.write(step("a"))
    chains.folder.mkdir(parents=True)
    with locked(chains.folder, "lagem submit --chain"):
        assert "another `lagem submit --chain` is writing here" in refusal(capsys, chains.words)
    assert not (chains.folder / "a").exists()


def squeue(folder: Path, monkeypatch, *lines: str) -> None:
    """Put a squeue of these lines of bash on PATH; without lines, PATH has no squeue."""
    (folder / "bin").mkdir(exist_ok=True)
    if lines:
        (folder / "bin" / "squeue").write_text("\n".join(["#!/bin/bash", *lines, ""]))
        (folder / "bin" / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))


@pytest.fixture
def submitted(chains) -> Path:
    """The folder of a chain's only step, from which job 7 was submitted to a cluster."""
    chains.write(step("a"))
    (chains.folder / "a").mkdir(parents=True)
    (chains.folder / "a" / "job_id.txt").write_text("7")
    return chains.folder / "a"


def test_a_step_that_is_queued_on_a_cluster_is_not_run_here(chains, submitted, tmp_path, monkeypatch, capsys):
    squeue(tmp_path, monkeypatch, "echo 7")
    assert "the job 7 of this folder is still queued or running" in refusal(capsys, chains.words)
    assert not (submitted / "local.out").exists()


@pytest.mark.parametrize("lines", [(), ("echo 'slurm_load_jobs error: Unable to contact' >&2", "exit 1")])
def test_a_step_that_may_be_queued_on_a_cluster_is_not_run_here(
    lines, chains, submitted, tmp_path, monkeypatch, capsys
):
    squeue(tmp_path, monkeypatch, *lines)
    line = refusal(capsys, chains.words)
    assert "may still be queued or running" in line and f"remove {submitted / 'job_id.txt'}" in line
    (submitted / "job_id.txt").unlink()
    main(chains.words)


def test_a_step_whose_job_slurm_no_longer_knows_runs_here(chains, submitted, tmp_path, monkeypatch):
    squeue(tmp_path, monkeypatch, "echo 'slurm_load_jobs error: Invalid job id specified' >&2", "exit 1")
    main(chains.words)
    assert (submitted / "finished").exists()


def test_a_step_that_succeeded_on_a_cluster_can_be_repeated_here_after_a_failure(
    chains, submitted, monkeypatch, capsys
):
    """The first call here, with a changed command, runs the step, which fails; the second must not refuse it."""
    (submitted / "finished").touch()
    monkeypatch.setenv("PATH", "/nowhere")
    chains.write(step("a", "describe absent.yaml"))
    for _ in range(2):
        line = refusal(capsys, chains.words)
        assert "step 1 of 1 (a) failed with exit code 2" in line


def test_a_mistake_in_a_later_step_is_found_before_the_first_starts(chains, capsys):
    chains.write(step("a"), step("b", "completion fish"))
    with pytest.raises(SystemExit) as stop:
        main(chains.words)
    assert stop.value.code == 2 and not chains.folder.exists()


def test_a_new_fit_does_not_go_into_the_run_of_another(chains, capsys):
    (chains.folder / "training" / "checkpoints").mkdir(parents=True)
    (chains.folder / "training" / "checkpoints" / "last.ckpt").touch()
    chains.write(step("first"), long_fit(chains))
    assert "already holds another run" in refusal(capsys, chains.words)
    assert not (chains.folder / "first").exists()


def test_a_training_does_not_resume_when_its_data_are_made_again(chains, capsys):
    """It trained on the results of the earlier step, so its checkpoints stand for old data."""
    chains.write(step("first"), long_fit(chains))
    training = chains.folder / "training"
    for name in ("first", "training"):
        (chains.folder / name).mkdir(parents=True)
    (training / "checkpoints").mkdir()
    (training / "checkpoints" / "last.ckpt").touch()
    (training / "finished").touch()
    job, _ = jobs_of(load_chain(chains.file), {}, chains.folder, "python")[1]
    (training / "command.txt").write_text(f"{shlex.join(job.command)}\n")
    line = refusal(capsys, chains.words)
    assert "would resume from checkpoints, but first has not succeeded" in line and f"remove {training}" in line
    assert not (chains.folder / "first" / "local.out").exists()
