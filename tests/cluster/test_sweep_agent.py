"""The shipped sweeps run with W&B's own search and its real agent, on this machine and inside a SLURM job."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import small_run

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
RUNS = 2
SMALLER = [
    "--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: {save_last: true}}]",
    "--trainer.num_nodes=${envvar:NODES}",
]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_obeys_wandbs_schema(path):
    from sweeps import schema_violations_from_proposed_config

    sweep = yaml.safe_load(path.read_text())
    space = {name: sweep[name] for name in ("method", "metric", "parameters", "early_terminate")}
    assert schema_violations_from_proposed_config(space) == []


@pytest.fixture
def agent(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """Yield the command of an agent that runs the shipped sweep of loss weights in `tmp_path`, small and offline."""
    sweep = yaml.safe_load((ROOT / "experiments" / "sweeps" / "loss_weights.yaml").read_text())
    small = [*small_run.small_fit(tmp_path, steps=2)[2:], *SMALLER]
    not_ours = [*sweep["parameters"], "trainer.default_root_dir", "data.init_args.num_near_queries"]
    kept = [word for word in small if not word.startswith(tuple(f"--{name}=" for name in not_ours))]
    sweep["command"] = ["${env}", "WANDB_MODE=offline", *sweep["command"][1:-1], *kept, "${args}"]
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    backend = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("sweep_backend.py"), tmp_path / "sweep.yaml", str(RUNS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = backend.stdout.readline().strip()
        changed = {
            "WANDB_BASE_URL": f"http://127.0.0.1:{port}",
            "WANDB_API_KEY": "0" * 40,
            "WANDB_DIR": str(tmp_path),
            "NODES": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        }
        for name, value in changed.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("WANDB_MODE")
        yield ["wandb", "agent", "--count", str(RUNS), "entity/lagem/sweep"]
    finally:
        backend.kill()
        backend.wait()


def check_runs(folder: Path) -> None:
    """Check that each run has its own folder, was trained with the values that it was sent, and is one run of W&B."""
    sent = [yaml.safe_load(path.read_text()) for path in folder.glob("wandb/sweep-sweep/config-*.yaml")]
    runs = sorted((folder / "runs" / "sweeps" / "sweep").iterdir())
    assert len(runs) == len(sent) == RUNS
    weights = set()
    for run in runs:
        (config,) = run.glob("logs/version_0/config.yaml")
        settings = yaml.safe_load(config.read_text())
        model, data = settings["model"]["init_args"], settings["data"]["init_args"]
        given = yaml.safe_load((folder / "wandb" / "sweep-sweep" / f"config-{run.name}.yaml").read_text())
        for name in ("near_weight", "level_dropout"):
            assert model[name] == pytest.approx(given[f"model.init_args.{name}"]["value"])
        queries = given["data.init_args.num_volume_queries"]["value"]
        assert data["num_volume_queries"] == data["num_near_queries"] == queries  # the second is interpolated
        assert (run / "checkpoints" / "last.ckpt").is_file()
        assert [path.name for path in run.glob("wandb/offline-run-*/run-*.wandb")] == [f"run-{run.name}.wandb"]
        weights.add(model["near_weight"])
    assert len(weights) == RUNS


def test_an_agent_runs_a_shipped_sweep(agent, tmp_path):
    done = subprocess.run(agent, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    check_runs(tmp_path)


def test_an_agent_in_a_job_runs_a_shipped_sweep_on_both_nodes(slurm, agent, tmp_path, monkeypatch):
    """The agent is one process of the batch script; launch.sh starts each run by srun, as one task on each node."""
    monkeypatch.setenv("NODES", "2")
    monkeypatch.setenv("COUNT", str(RUNS))
    script = str(ROOT / "experiments" / "sweeps" / "agent.sbatch")
    job = slurm._run("sbatch", "--parsable", f"--chdir={tmp_path}", "--nodes=2", script, agent[-1])
    state = slurm.wait(job, timeout=240)
    log = slurm.log(job)
    assert state["JobState"] == "COMPLETED", log[-3000:]
    check_runs(tmp_path)
    assert log.count("MEMBER: 2/2") == RUNS
