"""How a training exits early: after a signal, or after it has lost a rank.

After a signal, all ranks have agreed to stop and have saved a checkpoint (`SaveOnSignal`). Rank zero then asks SLURM to
requeue the job, if the signal was a request to requeue or the job is being preempted. After a rank is lost, the
remaining ranks cannot agree on anything, so each of them exits at once, without saving.
"""

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
from lagem.signals import REQUEUE, STOP, pending_signals

LOST_CONNECTION = re.compile(r"gloo.*(closed by peer|reset by peer|timed out|broken pipe)", re.IGNORECASE | re.DOTALL)
SECONDS_UNTIL_TERMINATED = 60.0  # how long SLURM may take to end a job that it has requeued


def exit_after_signal(signum: Signals, saved: Path | None) -> NoReturn:
    """Requeue the job if it should continue, and exit with the exit code of the signal.

    Only rank zero calls this function. The other ranks exit with code 0.

    Args:
        signum: The signal on which the ranks agreed to stop.
        saved: The checkpoint that they saved; None if the run keeps no checkpoints, so there is nothing to resume.
    """
    outcome = f"saved {saved}" if saved else "nothing saved, because the run keeps no checkpoints"
    resume = "To resume, run the same command with --ckpt_path last." if saved else "The same command starts anew."
    job = job_id()
    if job is None or saved is None or not (signum is REQUEUE or (signum is STOP and is_preempted(job))):
        _print(f"{signum.name}: {outcome}; stopped. {resume}")
    elif reason := requeue(job):
        _print(f"{signum.name}: {outcome}; job {job} was not requeued ({reason}). {resume}")
    else:
        _print(f"{signum.name}: {outcome}; requeued job {job}.")
        _wait_until_terminated()
    raise SystemExit(128 + signum)


def _wait_until_terminated() -> None:
    """Wait for SLURM to end the job, so that the commands that follow in the job's script do not run."""
    deadline = time.monotonic() + SECONDS_UNTIL_TERMINATED
    while STOP not in pending_signals() and time.monotonic() < deadline:
        time.sleep(0.1)


def job_id() -> str | None:
    """Return SLURM's id of this job, or of this task of an array; None outside SLURM."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


def was_requeued() -> bool:
    """Return whether SLURM has started this job before."""
    return int(os.environ.get("SLURM_RESTART_COUNT", 0)) > 0


def requeue(job: str) -> str | None:
    """Ask SLURM to start the job again.

    Returns:
        The reason if SLURM refused; None if it requeued the job.
    """
    try:
        run = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (run.stderr or run.stdout).strip() or f"exit code {run.returncode}" if run.returncode else None


def is_preempted(job: str) -> bool:
    """Return whether SLURM sent SIGTERM to make room for another job, rather than because the job was cancelled."""
    try:
        run = subprocess.run(["scontrol", "-o", "show", "job", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    fields = dict(re.findall(r"(\w+)=(\S+)", run.stdout))
    preempted = fields.get("PreemptTime", "None")
    return fields.get("JobState") == "RUNNING" and preempted != "None" and preempted >= fields.get("StartTime", "")


def is_lost_rank(error: BaseException) -> bool:
    """Return whether an error means that another rank did not answer."""
    if isinstance(error, DistError):
        return True
    return isinstance(error, RuntimeError) and LOST_CONNECTION.search(str(error)) is not None


def exit_after_lost_rank(trainer: Trainer, error: BaseException) -> NoReturn:
    """Print the error that a lost rank caused, kill the ranks that this rank has started, and exit with code 1."""
    reason = " ".join(str(error).split())
    print(
        f"lagem: error: rank {trainer.global_rank} lost another rank, which died or hung ({reason}). The first error "
        "that the other ranks printed says why. Resume from the last checkpoint with --ckpt_path last.",
        file=sys.stderr,
        flush=True,
    )
    kill_started_ranks(trainer)
    os._exit(1)


def _print(text: str) -> None:
    print(f"lagem: {text}", file=sys.stderr, flush=True)
