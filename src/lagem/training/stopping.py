"""How a training that a signal ended leaves: requeued by SLURM where that was asked, else with the signal's code."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from signal import Signals
from typing import NoReturn

from lightning.pytorch import Trainer
from torch.distributed import DistError

from lagem.lightning_private.trainer import kill_started_ranks
from lagem.signals import REQUEUE, STOP, waiting

GLOO = re.compile(r"gloo.*(closed by peer|reset by peer|timed out|broken pipe)", re.IGNORECASE | re.DOTALL)

SECONDS_TO_BE_ENDED = 60.0


def was_requeued() -> bool:
    """Whether this is a later start of a SLURM job."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def leave(signum: Signals, saved: Path | None) -> NoReturn:
    """End rank zero of a training that a signal ended; the other ranks just exit.

    Args:
        signum: What the ranks followed.
        saved: Their checkpoint; None where the run keeps none, and a new start would begin from nothing.
    """
    where = f"saved {saved}" if saved else "nothing saved, as the run keeps no checkpoints"
    job = job_id()
    if job is None or saved is None or not (signum is REQUEUE or is_preempted(job)):
        _say(f"{signum.name}: {where}; stopped.")
    elif reason := requeue(job):
        _say(f"{signum.name}: {where}; job {job} was not requeued ({reason}). Go on with it by --ckpt_path last.")
    else:
        _say(f"{signum.name}: {where}; requeued job {job}.")
        deadline = time.monotonic() + SECONDS_TO_BE_ENDED
        while STOP not in waiting() and time.monotonic() < deadline:  # what follows in the job's script must not run
            time.sleep(0.1)
    raise SystemExit(128 + signum)


def job_id() -> str | None:
    """SLURM's name of this job, or of this task of an array; None outside SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


def requeue(job: str) -> str | None:
    """Have SLURM start the job again.

    Returns:
        Why it would not; None where it will.
    """
    try:
        run = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (run.stderr or run.stdout).strip() or f"exit code {run.returncode}" if run.returncode else None


def is_preempted(job: str) -> bool:
    """Whether SLURM's SIGTERM makes room for another job; a cancelled job gets one too."""
    try:
        run = subprocess.run(["scontrol", "-o", "show", "job", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    fields = dict(re.findall(r"(\w+)=(\S+)", run.stdout))
    preempted = fields.get("PreemptTime", "None")
    return fields.get("JobState") == "RUNNING" and preempted != "None" and preempted >= fields.get("StartTime", "")


def _say(text: str) -> None:
    print(f"lagem: {text}", flush=True)


def is_lost_rank(error: BaseException) -> bool:
    """Whether an error says that another rank did not answer."""
    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and GLOO.search(str(error)) is not None)


def give_up(trainer: Trainer, error: BaseException) -> NoReturn:
    """End this rank, and those that it started."""
    reason = " ".join(str(error).split())
    print(
        f"lagem: error: rank {trainer.global_rank} lost another rank, which died or hung ({reason}). The first error "
        "that the others printed says why. Go on from the last checkpoint by --ckpt_path last.",
        file=sys.stderr,
        flush=True,
    )
    kill_started_ranks(trainer)
    os._exit(1)
