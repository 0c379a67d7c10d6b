"""The scripts that `lagem submit` writes, tested without a cluster."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lagem.cli import main
from lagem.cluster.job import Job
from lagem.cluster.profile import Profile, make_profile

ROOT = Path(__file__).resolve().parents[2]
TOY = "experiments/autoencoder/toy.yaml"
READY = {"objaverse": "a100", "shapenet": "a100_node"}  # the profile of each experiments/slurm/<experiment>.sh
ODD_WORDS = ["two words", "$HOME", "a'b", 'say "yes"', "`ls`", "semi;colon", "star*", "back\\slash", "", "ünï"]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def profile_file(tmp_path):
    def write(**fields) -> str:
        (tmp_path / "profile.yaml").write_text(yaml.safe_dump(fields))
        return str(tmp_path / "profile.yaml")

    return write


def job(*command: str, folder: str = "runs/x", parts: int = 0, **fields) -> Job:
    return Job(name="x", command=command, folder=Path(folder), profile=Profile(**fields), python="python", parts=parts)


def option_lines(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def refusal(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["submit", *words])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def dry_run(capsys, *words: str) -> str:
    main(["submit", "--dry-run", *words])
    return capsys.readouterr().out


def test_a_training_has_a_task_for_each_gpu_of_every_node_and_lightning_is_configured_so():
    script = job("fit", "--config", "a.yaml", nodes=3, gpus_per_node=4, cpus_per_task=6).text()
    assert {"--nodes=3", "--ntasks-per-node=4", "--gres=gpu:4", "--cpus-per-task=6"} <= set(option_lines(script))
    assert "--trainer.num_nodes=3" in script and "--trainer.devices=4" in script
    assert "--trainer.default_root_dir=runs/x" in script


def test_a_tool_is_one_task_whatever_the_profile_has():
    options = option_lines(job("encode", "a", "b", nodes=3, gpus_per_node=4).text())
    assert {"--nodes=1", "--ntasks-per-node=1", "--gres=gpu:1"} <= set(options)


def test_no_gpu_is_requested_if_the_profile_has_none():
    assert not [line for line in option_lines(job("fit").text()) if "gpu" in line]


def test_every_job_is_requeued_after_a_lost_node_and_keeps_its_log():
    for command in ("fit", "prepare", "bundle", "validate"):
        options = option_lines(job(command).text())
        assert {"--requeue", "--open-mode=append", "--output=runs/x/slurm-%j.out"} <= set(options)


def test_only_commands_that_can_resume_are_signalled_before_their_time_limit():
    def signals(command: str) -> list[str]:
        return [line for line in option_lines(job(command, signal_seconds=77).text()) if line.startswith("--signal")]

    assert signals("fit") == ["--signal=USR1@77"]  # all tasks: our callback saves and requeues
    assert signals("encode") == ["--signal=B:USR1@77"]  # the script, which requeues
    assert signals("bundle") == signals("generate") == []


def test_every_field_of_a_profile_is_in_the_script():
    fields = {
        "partition": "p", "account": "a", "memory": "9G", "hours": 1.5, "environment": ["module load x", "export A=1"],
        "sbatch": {"constraint": "a100&ib", "exclusive": True}, "python": "apptainer exec i.sif python",
    }  # fmt: skip
    script = job("fit", **fields).text()
    assert {
        "--partition=p", "--account=a", "--mem=9G", "--time=90", "--constraint='a100&ib'", "--exclusive"
    } <= set(option_lines(script))  # fmt: skip
    assert "\nmodule load x\nexport A=1\n" in script
    assert "apptainer exec i.sif python -P -m lagem fit" in script


def test_words_reach_the_command_as_they_were_given(tmp_path):
    """The script's srun and Python are replaced by a program that prints its arguments."""
    (tmp_path / "srun").write_text('#!/bin/bash\nprintf \'%s\\0\' "${@:7}" > "$PRINTED"\n')
    (tmp_path / "srun").chmod(0o755)
    script = job("bundle", *ODD_WORDS, "--output", "o p", folder=str(tmp_path / "a b")).text()
    (tmp_path / "a b").mkdir()
    (tmp_path / "job.sh").write_text(script)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PRINTED": str(tmp_path / "printed")}
    subprocess.run(["bash", str(tmp_path / "job.sh")], env=environment, check=True)
    words = (tmp_path / "printed").read_text().split("\0")[:-1]
    assert words == ["bundle", *ODD_WORDS, "--output", "o p"]
    assert (tmp_path / "a b" / "finished").exists()


@pytest.mark.parametrize("command", ["bundle", "prepare"])
def test_a_failed_command_fails_the_job_and_leaves_no_mark(command, tmp_path):
    (tmp_path / "srun").write_text("#!/bin/bash\nexit 3\n")
    (tmp_path / "srun").chmod(0o755)
    (tmp_path / "job.sh").write_text(job(command, folder=str(tmp_path)).text())
    done = subprocess.run(["bash", str(tmp_path / "job.sh")], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == 3 and not (tmp_path / "finished").exists()


def test_devices_that_the_profile_does_not_have_are_refused(profile_file, capsys):
    profile = profile_file(nodes=2, gpus_per_node=4)
    for words in (["--trainer.devices", "2"], ["--trainer.num_nodes=4"], ["--trainer.default_root_dir", "elsewhere"]):
        message = refusal(capsys, "--dry-run", "--profile", profile, "--", "fit", "--config", TOY, *words)
        assert message.startswith(f"lagem: error: {words[0].split('=')[0]} is ") and "Leave this option out" in message
    same = ["--trainer.devices=4", "--trainer.num_nodes", "2"]
    assert dry_run(capsys, "--profile", profile, "--", "fit", "--config", TOY, *same).count("--trainer.devices") == 1


def test_an_experiment_for_other_devices_is_noted(profile_file, capsys):
    main(["submit", "--dry-run", "--profile", profile_file(nodes=2), "--", "fit", "--config", TOY])
    assert "is for 1 x 1 (nodes x devices), but the profile has 2 x 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gpus": 4}, "unknown field gpus; the fields are partition, account, nodes,"),
        ({"nodes": "four"}, "nodes is 'four', but must be int"),
        ({"nodes": 0}, "nodes is 0, but at least 1 is needed"),
        ({"nodes": True}, "nodes is True"),
        ({"gpus_per_node": -1}, "gpus_per_node is -1"),
        ({"environment": "module load x"}, "environment is 'module load x', but must be list"),
        ({"sbatch": {"qos": None}}, "sbatch is {'qos': None}"),
        ({"hours": float("inf")}, "hours is inf, but must be above 0"),
        ({"hours": float("nan")}, "hours is nan, but must be above 0"),
        ({"hours": 0.02}, "the job would be signalled to stop before it began"),
    ],
)
def test_a_mistake_in_a_profile_is_one_line(fields, message, profile_file, capsys):
    line = refusal(capsys, "--dry-run", "--profile", profile_file(**fields), "--", "bundle", "a", "b", "--output", "c")
    assert "profile.yaml: " in line and message in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "fit", "--config", TOY, "--trainer.max_stepz", "2"], "max_stepz"),
        (["--", "fit", "--config", "no.yaml"], "no.yaml"),
        (["--array", "2", "--", "fit", "--config", TOY], "`lagem fit` cannot be split into parts"),
        (["--array", "1", "--", "prepare", "a", "--output", "b"], "at least 2"),
        (["--array", "2", "--", "prepare", "a", "--output", "b", "--part", "0/2"], "--part is set by --array"),
        (["--array", "2", "--", "prepare", "a", "--output", "b", "--part=0/2"], "--part is set by --array"),
        (["--name", "a/b", "--", "prepare", "a", "--output", "b"], "cannot be used for a folder"),
        (["--name", "bash", "--", "prepare", "a", "--output", "b"], "Lightning ignores SLURM"),
        (["--local", "--", "prepare", "a", "--output", "b"], "--local needs --array"),
        (["--chain", "x.yaml", "--", "prepare"], "exactly one of the two"),
        ([], "exactly one of the two"),
        (["--profile", "no.yaml", "--", "prepare", "a", "--output", "b"], "no.yaml: there is no such file"),
    ],
)
def test_a_mistake_in_the_command_line_is_found_at_submission(words, message, capsys):
    assert message in refusal(capsys, "--dry-run", *words)


def test_an_array_without_submitit_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "submitit", None)
    line = refusal(capsys, "--dry-run", "--array", "2", "--", "prepare", "a", "--output", "b")
    assert "needs the package submitit; run `pip install 'lagem[cluster]'`" in line


def test_a_job_without_a_name_is_called_after_the_experiment_and_not_after_its_layers(capsys):
    layer = "experiments/layers/wandb.yaml"
    script = dry_run(capsys, "--", "fit", "--config", TOY, f"--config={layer}")
    assert "--job-name=toy-" in script


def test_an_unknown_option_of_a_tool_is_found_at_submission(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["submit", "--dry-run", "--", "prepare", "a", "--output", "b", "--worker", "many"])
    assert stop.value.code == 2


def test_without_slurm_the_one_line_offers_a_dry_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    line = refusal(capsys, "--", "prepare", "a", "--output", "b")
    assert "sbatch, srun or squeue is not installed" in line and "--dry-run" in line
    assert not (tmp_path / "runs").exists()


def test_a_new_fit_does_not_go_into_the_run_of_another(monkeypatch, tmp_path, capsys):
    for name, line in (("sbatch", "echo 7"), ("srun", ""), ("squeue", "")):
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    words = ["--runs", str(tmp_path / "runs"), "--name", "one", "--", "fit", "--config", TOY]
    main(["submit", *words])
    assert capsys.readouterr().out == "7\n"
    (tmp_path / "runs" / "one" / "checkpoints").mkdir()
    (tmp_path / "runs" / "one" / "checkpoints" / "last.ckpt").touch()
    main(["submit", *words])  # the same command resumes
    capsys.readouterr()
    assert "already holds another run" in refusal(capsys, *words, "--trainer.max_steps=3")
    main(["submit", *words, "--trainer.max_steps=3", "--ckpt_path=last"])


@pytest.mark.parametrize("name", READY)
def test_a_ready_script_is_what_submit_writes(name, capsys):
    command = [
        "--profile", f"experiments/slurm/profiles/{READY[name]}.yaml", "--name", name,
        "--", "fit", "--config", f"experiments/autoencoder/{name}.yaml",
    ]  # fmt: skip
    script = ROOT / "experiments" / "slurm" / f"{name}.sh"
    assert script.read_text() == dry_run(capsys, *command), f"lagem submit --dry-run {shlex.join(command)} > {script}"


def test_every_ready_script_is_checked():
    assert {path.stem for path in (ROOT / "experiments" / "slurm").glob("*.sh")} == set(READY)


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "slurm" / "profiles").glob("*.yaml")), ids=str)
def test_a_shipped_profile_is_one(path):
    assert make_profile(yaml.safe_load(path.read_text()), where="").hours > 0
