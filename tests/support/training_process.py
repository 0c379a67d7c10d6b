"""Run trainings in separate processes, and read their checkpoints, for tests that kill a training."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from deadlines import HANG


def launch(arguments: list[str], *, options: Sequence[str] = (), **kwargs) -> subprocess.Popen:
    """Start `lagem` with these arguments, and Python with these options.

    The process imports modules from the same places as this one.
    """
    searched = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": searched, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [sys.executable, *options, "-m", "lagem", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )


def completed(arguments: list[str]) -> str:
    """Run `lagem` with these arguments, which must succeed, and return its output."""
    process = launch(arguments)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 0, output[-3000:]
    return output


def killed(command: list[str], folder: Path, times: int) -> list[int]:
    """Start a training `times` times, and kill it each time at a random moment after a save; it resumes from the save.

    Returns:
        The number of steps of the last checkpoint after each kill.
    """
    chance = random.Random(0)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    reached = []
    for _ in range(times):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        process = launch(command)
        deadline = time.monotonic() + HANG
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)  # longer than from save to save
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL  # it was training
        reached.append(weights(folder)["global_step"])
    return reached


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the content of the last checkpoint of a run."""
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_training(one: Path, other: Path) -> None:
    """Assert that two runs ended at the same step with exactly the same weights, both averaged and trained ones."""
    first, second = weights(one), weights(other)
    assert first["global_step"] == second["global_step"]
    for key in ("state_dict", "current_model_state"):
        for name, tensor in first[key].items():
            assert torch.equal(tensor, second[key][name]), (key, name)
