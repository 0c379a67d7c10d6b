"""A training that receives a signal saves before it stops; a training that loses a rank ends and says why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import training_process
from deadlines import HANG
from lagem.cli import main
from small_run import small_fit

STEPS = 40
TWO_RANKS = ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.init_args.batch_size=2"]
FOREVER = 100_000
STOPPING = (signal.SIGUSR1, signal.SIGTERM)


def started(arguments: list[str], folder: Path) -> subprocess.Popen:
    """Start a training in its own process group, and return the process after its first save."""
    process = training_process.launch(arguments, start_new_session=True)
    wait_until(lambda: (folder / "checkpoints" / "last.ckpt").exists(), process)
    return process


def wait_until(happened, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + HANG
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)


def ended(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=HANG)
    return output


def rank_one(process: subprocess.Popen) -> int:
    """Return the process id of the second rank."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    (line,) = [line for line in listed.stdout.splitlines() if "-m lagem.__main__" in line]
    return int(line.split()[0])


def test_sigterm_to_every_process_of_a_run_loses_nothing(tmp_path):
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "run"
    main(small_fit(undisturbed, steps=STEPS))
    command = small_fit(folder, "--ckpt_path=last", "--data.init_args.num_workers=2", steps=STEPS)
    process = started(command, folder)
    os.killpg(process.pid, signal.SIGTERM)  # the loading processes too
    output = ended(process)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert f"SIGTERM: saved {folder}/checkpoints/last.ckpt; stopped." in output
    assert training_process.weights(folder)["global_step"] < STEPS
    training_process.completed(command)
    training_process.assert_same_training(undisturbed, folder)


def test_a_signal_during_the_imports_is_not_lost(tmp_path):
    process = training_process.launch(small_fit(tmp_path, steps=FOREVER))
    blocked = 1 << (signal.SIGINT - 1)
    status = Path(f"/proc/{process.pid}/status")
    wait_until(lambda: int(status.read_text().split("SigBlk:")[1].split()[0], 16) & blocked, process)
    process.send_signal(signal.SIGINT)
    output = ended(process)
    assert process.returncode == 128 + signal.SIGINT
    assert f"SIGINT: saved {tmp_path}/checkpoints/last.ckpt; stopped. To resume, run the same command with" in output
    assert training_process.weights(tmp_path)["global_step"] == 1


@pytest.mark.slow
def test_signals_after_the_end_of_a_training_do_not_fail_it(tmp_path):
    """For example, the signals of a time limit may arrive while the interpreter exits."""
    late = "".join(f"atexit.register(os.kill, os.getpid(), {number.value}); " for number in STOPPING)
    program = (
        f"import atexit, os, sys; {late}sys.argv[1:] = {small_fit(tmp_path, steps=2)!r}; "
        "from lagem.cli import command; command()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert training_process.weights(tmp_path)["global_step"] == 2


@pytest.mark.slow
def test_ranks_stop_together_when_one_is_signalled(tmp_path):
    process = started(small_fit(tmp_path, *TWO_RANKS, steps=FOREVER), tmp_path)
    os.kill(rank_one(process), signal.SIGUSR1)
    output = ended(process)
    assert process.returncode == 128 + signal.SIGUSR1 and output.count("SIGUSR1: saved") == 1, output


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_run_whose_rank_dies_ends_and_says_why(tmp_path, rank):
    process = started(small_fit(tmp_path, *TWO_RANKS, steps=FOREVER), tmp_path)
    os.kill(process.pid if rank == 0 else rank_one(process), signal.SIGKILL)
    output = ended(process)  # when every process that could print is gone
    assert process.returncode != 0
    assert "lost another rank, which died or hung" in output or "terminated with code -9" in output, output


@pytest.mark.slow  # the ranks wait for a minute
def test_a_run_whose_rank_hangs_ends_and_says_why(tmp_path):
    patience = "{class_path: lightning.pytorch.strategies.DDPStrategy, init_args: {timeout: '0:01:00'}}"
    process = started(small_fit(tmp_path, *TWO_RANKS, f"--trainer.strategy={patience}", steps=FOREVER), tmp_path)
    other = rank_one(process)
    os.kill(other, signal.SIGSTOP)
    output = ended(process)
    assert process.returncode == 1 and "rank 0 lost another rank" in output and "60000ms" in output, output
