"""Jobs of two nodes that are preempted, run out of time, are cancelled or lose a rank.

A sum over two ranks does not depend on their order, so a preempted run equals an undisturbed one to the last bit.
"""

import csv
import random
import re
import subprocess
import time
from pathlib import Path

import pytest
import torch

import training_process
from small_run import small_fit

pytestmark = pytest.mark.cluster


STEPS = 48
TWO_NODES = ("--nodes=2", "--exclusive")
SLOW_RANK = '''
import os
import time

from lightning.pytorch.callbacks import Callback


class SlowRank(Callback):
    """Rank one takes longer than rank zero for each batch, and SECONDS_A_STEP slows both."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        time.sleep(float(os.environ.get("SECONDS_A_STEP", 0)) + 0.05 * trainer.global_rank)
'''


def two_rank_fit(folder: Path, *extra: str, steps: int = STEPS) -> list[str]:
    """Return the command of a fit on two nodes, with a loading process on each, a slow rank and validations."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / "slow_rank.py").write_text(SLOW_RANK)
    settings = [
        "--trainer.num_nodes=2",
        "--trainer.devices=1",
        "--trainer.strategy=ddp",
        "--data.init_args.batch_size=2",
        "--data.init_args.num_workers=1",
        "--trainer.val_check_interval=5",
        "--trainer.callbacks+=slow_rank.SlowRank",
    ]
    callbacks = (
        "--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: {save_last: true, every_n_train_steps: 1000}},"
        " {class_path: EMAWeightAveraging, init_args: {decay: 0.9}}]"
    )
    return [*small_fit(folder, callbacks, steps=steps), *settings, *extra]


def submit(
    slurm, folder: Path, *options: str, steps: int = STEPS, seconds: float = 0, settings: tuple[str, ...] = ()
) -> str:
    variables = f"--export=ALL,PYTHONPATH={folder},SECONDS_A_STEP={seconds}"
    return slurm.lagem(two_rank_fit(folder / "run", *settings, steps=steps), folder, variables, *TWO_NODES, *options)


def losses(folder: Path) -> list[tuple[int, str, float]]:
    """Return step, name and value of everything that a run logged over all its starts, except times."""
    found = []
    for path in folder.glob("run/logs/version_*/metrics.csv"):
        with path.open() as file:
            for row in csv.DictReader(file):
                step = int(row["step"])
                found += [(step, name, float(value)) for name, value in row.items() if value and "/" in name]
    return sorted(found)


def assert_same_run(one: Path, other: Path) -> None:
    assert losses(one) == losses(other)
    training_process.assert_same_training(one / "run", other / "run")


def saved_steps(folder: Path) -> int:
    path = folder / "run" / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["global_step"] if path.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(slurm, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "undisturbed"
    job = submit(slurm, folder)
    assert slurm.wait(job, timeout=240)["JobState"] == "COMPLETED", slurm.log(job)[-3000:]
    return folder


def test_two_nodes_train_together(undisturbed):
    log = (undisturbed / "log.txt").read_text()
    assert "Starting with 2 processes" in log
    steps = [step for step, name, _ in losses(undisturbed) if name == "train/loss"]
    assert steps == list(range(STEPS))
    assert len(list(undisturbed.glob("run/logs/version_*"))) == 1


def test_a_job_preempted_twice_trains_as_an_undisturbed_one(slurm, undisturbed, tmp_path):
    """Loading processes receive the signals as well. One rank is slow, so the ranks are never at the same batch."""
    job = submit(slurm, tmp_path / "job")
    for start in (1, 2):
        wait_for_steps(slurm, job, tmp_path / "job", 5)
        slurm.signal(job, "USR1")
        slurm.wait_for_text(job, r"SIGUSR1: saved .*requeued job", count=start)
    known = slurm.wait(job, timeout=240)
    assert (known["JobState"], known["Restarts"]) == ("COMPLETED", "2"), slurm.log(job)[-3000:]
    assert "resource_tracker" not in slurm.log(job)
    assert_same_run(undisturbed, tmp_path / "job")


def wait_for_steps(slurm, job: str, folder: Path, more: int, timeout: float = 120) -> None:
    """Wait until a job has logged more than `more` lines since its last start."""
    deadline = time.monotonic() + timeout
    version = folder / "run" / "logs" / f"version_{slurm.wait(job, 'RUNNING')['Restarts']}" / "metrics.csv"
    while not version.exists() or version.read_text().count("\n") <= more:
        assert time.monotonic() < deadline and slurm.show(job)["JobState"] == "RUNNING", slurm.log(job)[-3000:]
        time.sleep(0.1)


def test_a_job_that_another_partition_preempts_comes_back(slurm, undisturbed, tmp_path):
    """SLURM sends SIGTERM, as to a cancelled job. If the job ended without a requeue, it would count as completed."""
    job = submit(slurm, tmp_path / "job", seconds=0.5)
    wait_for_steps(slurm, job, tmp_path / "job", 3)
    other = slurm.submit("true\n", tmp_path / "urgent", "--partition=urgent", *TWO_NODES)
    slurm.wait_for_text(job, "SIGTERM: saved .*requeued job")
    assert slurm.wait(other)["JobState"] == "COMPLETED"
    slurm._run("scontrol", "update", f"jobid={job}", "starttime=now")
    assert slurm.wait(job, "RUNNING")["Restarts"] == "1"
    slurm.wait_for_text(job, r"resumed +after step \d.* from .*last\.ckpt")
    slurm.cancel(job)
    slurm.wait(job)


def test_a_chain_of_time_limits_reaches_the_end(slurm, tmp_path):
    """The signal comes 15 to 45 seconds after a start, because SLURM checks time limits only every 30 seconds.

    The training needs 55 seconds for all its steps, so the job is requeued at least once.
    """
    steps = 100
    job = submit(slurm, tmp_path / "job", "--time=2", "--signal=USR1@75", steps=steps, seconds=0.5)
    known = slurm.wait(job, timeout=400)
    assert known["JobState"] == "COMPLETED" and int(known["Restarts"]) >= 1, slurm.log(job)[-3000:]
    assert [step for step, name, _ in losses(tmp_path / "job") if name == "train/loss"] == list(range(steps))


def test_a_cancelled_job_has_saved_and_leaves_no_half_written_file(slurm, tmp_path):
    job = submit(slurm, tmp_path / "job", steps=100_000)
    wait_for_steps(slurm, job, tmp_path / "job", 3)
    slurm.cancel(job)
    assert slurm.wait(job)["JobState"] == "CANCELLED"
    assert "SIGTERM: saved" in slurm.log(job) and "requeued" not in slurm.log(job)
    assert saved_steps(tmp_path / "job") > 0
    assert not list(tmp_path.rglob(".*.tmp*"))


def test_a_job_whose_rank_dies_ends_and_says_so(slurm, tmp_path):
    job = submit(slurm, tmp_path / "job", steps=100_000)
    wait_for_steps(slurm, job, tmp_path / "job", 3)
    listed = subprocess.run(["pgrep", "-f", f"lagem fit .*{tmp_path}/job/run"], capture_output=True, text=True)
    ranks = {int(pid): Path(f"/proc/{pid}/environ").read_text() for pid in listed.stdout.split()}
    (victim, *_) = sorted(pid for pid, environment in ranks.items() if "SLURM_PROCID=1" in environment)
    subprocess.run(["kill", "-9", str(victim)], check=True)
    assert slurm.wait(job, timeout=60)["JobState"] == "FAILED"
    assert re.search(r"task 1: Killed|lost another rank", slurm.log(job))


@pytest.mark.slow  # 20 starts
def test_twenty_preemptions_in_a_row_end_in_the_weights_of_an_undisturbed_run(slurm, tmp_path):
    chance, preemptions = random.Random(0), 20
    common = {"steps": 140, "settings": ("--trainer.val_check_interval=12",)}
    whole = submit(slurm, tmp_path / "whole", **common)
    assert slurm.wait(whole, timeout=600)["JobState"] == "COMPLETED", slurm.log(whole)[-3000:]
    job, places = submit(slurm, tmp_path / "job", seconds=0.15, **common), []
    for start in range(1, preemptions + 1):
        slurm.wait(job, "RUNNING")
        if start % 2:
            wait_for_steps(slurm, job, tmp_path / "job", chance.randint(1, 4))
        else:  # before, at or after the first step
            slurm.wait_for_text(job, "All distributed processes registered", count=start)
        time.sleep(chance.uniform(0, 0.7))
        slurm.signal(job, "USR1")
        slurm.wait_for_text(job, "SIGUSR1: saved .*requeued job", count=start)
        places.append(saved_steps(tmp_path / "job"))
    known = slurm.wait(job, timeout=600)
    print("preempted at steps", places)
    assert (known["JobState"], known["Restarts"]) == ("COMPLETED", str(preemptions)), slurm.log(job)[-3000:]
    assert all(earlier < later for earlier, later in zip(places, places[1:], strict=False)) and places[-1] < 140
    assert len(re.findall(r"^resumed +after step", slurm.log(job), re.MULTILINE)) == preemptions
    assert_same_run(tmp_path / "whole", tmp_path / "job")
