"""Submit the parts of a long job with submitit, as an array of SLURM tasks.

A part is the job's command with `--part I/N` added. It processes those of its items that are not done yet. So a killed
part can be requeued or submitted again, and no work is lost or repeated. When all parts are done, the command without
`--part` does the last step.
"""

import importlib.util
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lagem.cluster.job import Job, value_of

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

PARTED = ("prepare", "encode", "evaluate")
AT_ONCE = 1000  # how many tasks of an array may run at the same time; the scheduler decides how many do
REQUEUES = 1000  # how often a part may be requeued at its time limit; submitit's default is 3


@dataclass(frozen=True)
class ArrayTask:
    """One part of a job; submitit calls it on the machine that runs the part.

    Args:
        command: Verb and arguments of `lagem`.
        number: Index of the part, counted from 0.
        count: Number of parts.
    """

    command: tuple[str, ...]
    number: int
    count: int

    def __call__(self) -> None:
        """Run the part."""
        from lagem.cli import main

        try:
            main([*self.command, "--part", f"{self.number}/{self.count}"])
        except SystemExit as stop:
            if stop.code in (1, 2):  # another code means that the part is requeued
                raise RuntimeError(f"part {self.number}/{self.count} ended with exit code {stop.code}") from None
            raise

    def checkpoint(self) -> "DelayedSubmission":
        """Return the task that runs after a preemption or a time limit: the same task, because a part can resume."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def parts_of(job: Job) -> list[ArrayTask]:
    """Return the parts of a job; raises ValueError if its command cannot be split."""
    if job.command[0] not in PARTED:
        raise ValueError(f"`lagem {job.command[0]}` cannot be split into parts; only {', '.join(PARTED)} can.")
    if value_of("--part", job.command) is not None:
        raise ValueError("--part is set by --array; leave --part out.")
    return [ArrayTask(tuple(job.command), number, job.parts) for number in range(job.parts)]


def require_submitit() -> None:
    """Raise ValueError if submitit is not installed."""
    if importlib.util.find_spec("submitit") is None:
        raise ValueError("--array needs the package submitit; run `pip install 'lagem[cluster]'`.")


def submit_parts(job: Job, after: Sequence[str]) -> str:
    """Submit the parts of a job as an array.

    Args:
        job: The job; the logs of its parts go to its folder.
        after: Ids of jobs that must succeed first.

    Returns:
        The id of the array.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    parts = parts_of(job)
    executor = SlurmExecutor(folder=folder_of(job), max_num_timeout=REQUEUES, python=job.python_words)
    executor.update_parameters(**parameters(job, after))
    try:
        first, *_ = executor.submit_array(parts)
    except (FailedJobError, FailedSubmissionError) as error:
        raise ValueError(
            f"sbatch refused an array of {job.parts} parts ({error}). If the array has more parts than the cluster's "
            "MaxArraySize, often 1001, give a smaller --array."
        ) from None
    return str(first.job_id).split("_")[0]


def script_of_parts(job: Job, after: Sequence[str]) -> str:
    """Return the batch script that submitit writes for the parts of a job."""
    from submitit.slurm.slurm import _make_sbatch_string  # submitit's executor makes the script only if SLURM is there

    count = len(parts_of(job))
    command = f"{job.python_words} -u -m submitit.core._submit {shlex.quote(str(folder_of(job)))}"
    settings = parameters(job, after)
    return _make_sbatch_string(command=command, folder=folder_of(job), map_count=count, **settings) + "\n"


def parameters(job: Job, after: Sequence[str]) -> dict[str, Any]:
    """Return the resources of one task of the array, under the names that submitit's SLURM executor uses."""
    profile = job.profile
    wanted = {
        "job_name": job.name,
        "partition": profile.partition,
        "account": profile.account,
        "time": profile.minutes,
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": profile.cpus_per_task,
        "gpus_per_node": min(profile.gpus_per_node, 1) or None,
        "mem": profile.memory,
        "signal_delay_s": profile.signal_seconds,
        "setup": profile.environment or None,
        "array_parallelism": AT_ONCE,
        "stderr_to_stdout": True,
        "srun_args": [f"--cpus-per-task={profile.cpus_per_task}"],
        "dependency": f"afterok:{':'.join(after)}" if after else None,
        "additional_parameters": {
            "requeue": True,
            **({"kill-on-invalid-dep": "yes"} if after else {}),
            **profile.sbatch,
        },
    }
    return {"wckey": None, **{name: value for name, value in wanted.items() if value is not None}}


def folder_of(job: Job) -> Path:
    """Return the folder of submitit's files and of the logs of the parts."""
    return job.folder / "parts"
