"""Chains of jobs: which job waits for which, and which jobs are skipped when the same chain is submitted twice."""

from pathlib import Path

import pytest
import yaml

from lagem.cli import main
from lagem.cluster.chain import jobs_of, load_chain
from lagem.cluster.submission import submit_chain

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "experiments" / "slurm" / "paper.yaml"
REAL_MESHES = PAPER.with_name("real_meshes.yaml")
STEPS = [
    {"name": "a", "command": "prepare x --output '{folder}/y z'"},
    {"name": "b", "command": "bundle {folder}/1 2 --output 3", "after": ["a"], "profile": {"hours": 3}},
    {"name": "c", "command": "bundle 1 2 --output 3", "after": ["a", "b"]},
    {"name": "d", "command": "bundle 1 2 --output 3"},
]


@pytest.fixture
def chain_file(tmp_path):
    def write(steps) -> Path:
        (tmp_path / "chain.yaml").write_text(yaml.safe_dump(steps))
        return tmp_path / "chain.yaml"

    return write


@pytest.fixture
def jobs(chain_file, tmp_path):
    return jobs_of(load_chain(chain_file(STEPS)), {"nodes": 2}, tmp_path / "a folder", "python")


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Put stand-ins for SLURM's commands on PATH; return a function that returns the arguments of each call of sbatch.

    The stand-in for sbatch numbers the jobs from 1.
    """
    (tmp_path / "bin").mkdir()
    log = tmp_path / "log"
    counts, queue = f'echo "$@" >> {log}\nwc -l < {log}', f"echo $3 | grep -wf {tmp_path / 'queue'} || true"
    for name, lines in (("srun", counts), ("sbatch", counts), ("squeue", queue)):
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{lines}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "queue").touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return lambda: log.read_text().splitlines() if log.exists() else []


def waits_for(line: str) -> list[str]:
    (option,) = [word for word in line.split() if word.startswith("--dependency")] or [""]
    return option.removeprefix("--dependency=afterok:").split(":") if option else []


def test_a_step_has_its_folder_its_profile_and_the_chains_folder_in_its_command(jobs, tmp_path):
    first, second = jobs[0][0], jobs[1][0]
    assert first.command == ["prepare", "x", "--output", f"{tmp_path}/a folder/y z"]
    assert second.folder == tmp_path / "a folder" / "b"
    assert (second.profile.nodes, second.profile.hours, first.profile.hours) == (2, 3, 1)


def test_each_job_waits_for_those_it_needs(jobs, submitted):
    ids = {job.name: id for job, id in submit_chain(jobs)}
    assert ids == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert [waits_for(line) for line in submitted()] == [[], ["1"], ["1", "2"], []]
    assert all("--kill-on-invalid-dep=yes" in line for line in submitted()[1:3])


def test_a_chain_can_wait_for_other_jobs(jobs, submitted):
    list(submit_chain(jobs, ["77"]))
    assert [waits_for(line) for line in submitted()] == [["77"], ["1"], ["1", "2"], ["77"]]


def test_what_ended_well_is_left_out_unless_something_before_it_runs_again(jobs, submitted):
    list(submit_chain(jobs))
    for job, _ in jobs:
        job.finished.touch()
    jobs[1][0].finished.unlink()  # b failed
    ids = {job.name: id for job, id in submit_chain(jobs)}
    assert ids == {"a": None, "b": "5", "c": "6", "d": None}
    assert [waits_for(line) for line in submitted()[4:]] == [[], ["5"]]


def test_a_step_whose_command_changed_runs_again(chain_file, tmp_path, submitted):
    for steps, expected in (
        (STEPS, ["1", "2"]),
        ([{**STEPS[0], "command": "prepare w --output y"}, STEPS[3]], ["3", None]),
    ):
        steps = [steps[0], steps[-1]]
        jobs = jobs_of(load_chain(chain_file(steps)), {}, tmp_path / "f", "python")
        assert [id for _, id in submit_chain(jobs)] == expected
        for job, _ in jobs:
            job.finished.touch()


def test_a_chain_with_a_job_in_the_queue_is_not_submitted_again(jobs, submitted, tmp_path):
    list(submit_chain(jobs))
    (tmp_path / "queue").write_text("4\n")
    with pytest.raises(ValueError, match="/d: the job 4 of this folder is still queued or running"):
        list(submit_chain(jobs))
    assert len(submitted()) == 4
    (tmp_path / "queue").write_text("")
    assert len(list(submit_chain(jobs))) == 4


def test_a_training_is_not_submitted_again_when_its_data_are_made_again(chain_file, tmp_path, submitted):
    steps = [STEPS[0], {"name": "b", "command": "fit --config x.yaml", "after": ["a"]}]
    jobs = jobs_of(load_chain(chain_file(steps)), {}, tmp_path / "f", "python")
    assert [id for _, id in submit_chain(jobs)] == ["1", "2"]
    (tmp_path / "f" / "a" / "finished").touch()
    (tmp_path / "f" / "b" / "checkpoints").mkdir()
    (tmp_path / "f" / "b" / "checkpoints" / "last.ckpt").touch()
    assert [id for _, id in submit_chain(jobs)] == [None, "3"]  # the training was interrupted, and resumes
    (tmp_path / "f" / "a" / "finished").unlink()
    with pytest.raises(ValueError, match="^b would resume from checkpoints, but a has not succeeded"):
        list(submit_chain(jobs))
    assert len(submitted()) == 3


def test_another_profile_does_not_make_a_step_run_again(chain_file, tmp_path, submitted):
    for hours, expected in ((1, ["1"]), (2, [None])):
        jobs = jobs_of(load_chain(chain_file(STEPS[:1])), {"hours": hours}, tmp_path / "f", "python")
        assert [id for _, id in submit_chain(jobs)] == expected
        jobs[0][0].finished.touch()


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "holds no step"),
        ({"a": 1}, "holds a dict, but a list is needed"),
        (["prepare"], "step 1: holds 'prepare'"),
        ([{"name": "a"}], "step 1: lacks the field command"),
        ([{"name": "a", "command": "x", "aftre": []}], "step 1: unknown field aftre; the fields are name, command"),
        ([{"name": "a", "command": "x", "after": "b"}], "after is 'b', but must be list"),
        ([{"name": "a", "command": "x", "after": ["b"]}], "waits for b, but the earlier steps are: none"),
        ([STEPS[0], {"name": "b", "command": ""}], "chain.yaml: step 2: has an empty command"),
        ([STEPS[0], {"name": "b", "command": "bundle 'x"}], "chain.yaml: step 2: No closing quotation"),
        ([STEPS[0], {"name": "../../evil", "command": "x"}], "chain.yaml: step 2: the name '../../evil'"),
        ([{"name": "a", "command": "x"}, {"name": "a", "command": "x"}], "step 2: an earlier step is also named 'a'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_chain_is_one_line(steps, message, chain_file, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["submit", "--dry-run", "--chain", str(chain_file(steps))])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and message in error


@pytest.mark.parametrize(
    ("options", "chain"),
    [
        (["--profile", "experiments/slurm/profiles/a100.yaml"], PAPER),
        (["--local"], REAL_MESHES),
        (["--local"], PAPER.with_name("completion.yaml")),
    ],
    ids=["paper", "real_meshes", "completion"],
)
def test_a_shipped_chain_parses_step_by_step_and_names_files_that_are_there(options, chain, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    main(["submit", "--dry-run", *options, "--chain", str(chain)])
    printed = capsys.readouterr().out
    names = [step.name for step in load_chain(chain)]
    assert [line.removeprefix("# == ") for line in printed.splitlines() if line.startswith("# == ")] == names


def test_the_papers_chain_trains_its_stages_at_the_same_time():
    steps = {step.name: step for step in load_chain(PAPER)}
    assert {tuple(steps[f"level_{level}"].after) for level in (1, 2, 3)} == {("latents",)}
    assert steps["bundle"].after == ["level_3", "level_2", "level_1"]


def test_the_recipe_of_real_meshes_trains_each_phase_from_the_weights_of_the_phase_before():
    steps = {step.name: step for step in load_chain(REAL_MESHES)}
    for name, before in (("phase_2", "phase_1"), ("autoencoder", "phase_2")):
        assert steps[name].after == [before]
        assert f"--model.init_args.init_from {{folder}}/{before}/checkpoints/last.ckpt" in steps[name].command
