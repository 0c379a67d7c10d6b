"""Submit jobs to SLURM, or show what would be submitted."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from lagem.cluster.arrays import script_of_parts, submit_parts
from lagem.cluster.job import Job, value_of
from lagem.storage.atomic import write_text

Chain = Sequence[tuple[Job, Sequence[str]]]  # jobs, each with the names of earlier ones that it waits for


def submit(job: Job, after: Sequence[str] = ()) -> str:
    """Submit a job.

    Args:
        job: The job; its script is written to its folder.
        after: Ids of jobs that must succeed first; if one fails, this job is cancelled.

    Returns:
        The job's id.

    Raises:
        ValueError: If SLURM refuses the job or is not installed; the message is one line.
    """
    require_slurm()
    refuse_queued_job(job)
    refuse_existing_run(job)
    text = job.text()
    job.folder.mkdir(parents=True, exist_ok=True)
    job.finished.unlink(missing_ok=True)
    write_text(job.script, text)
    write_text(job.command_file, f"{shlex.join(job.command)}\n")
    array = [submit_parts(job, after)] if job.parts else []
    after = array or after
    done = subprocess.run(sbatch(job, after), capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"sbatch refused {job.script}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    id = done.stdout.strip().split(";")[0]  # with several clusters, the cluster's name follows
    write_text(job.id_file, ",".join([id, *array]))
    return id


def submit_chain(chain: Chain, after: Sequence[str] = ()) -> Iterator[tuple[Job, str | None]]:
    """Submit jobs that wait for one another; skip a job that has already succeeded, unless one it waits for runs.

    Args:
        chain: The jobs.
        after: Ids of jobs that must succeed before any of them starts.

    Yields:
        Each job with its id, or with None if it is skipped.
    """
    for job, _ in chain:  # before the first one is submitted
        refuse_queued_job(job)
    ids: dict[str, str] = {}
    for job, needed in chain:
        waits_for = [ids[name] for name in needed if name in ids]
        if not waits_for and is_finished(job):
            yield job, None
            continue
        ids[job.name] = submit(job, waits_for or after)
        yield job, ids[job.name]


def preview(job: Job, after: Sequence[str] = ()) -> str:
    """Text of what `submit` would submit; only the script if there are no parts and nothing to wait for."""
    texts = []
    if job.parts:
        texts.append(f"# {job.parts} parts, by submitit\n{script_of_parts(job, after)}")
        after = [f"ARRAY_OF_{job.name}"]
    script = job.text()
    texts.append(f"# {shlex.join(sbatch(job, after))}\n{script}" if after else script)
    return "\n".join(texts)


def preview_chain(chain: Chain, after: Sequence[str] = ()) -> str:
    """Text of what `submit_chain` would submit if no job had succeeded yet."""
    texts = [f"# == {job.name}\n{preview(job, needed or after)}" for job, needed in chain]
    return "\n".join(["# The names of steps stand for the ids of their jobs.", *texts])


def is_finished(job: Job) -> bool:
    """Whether the same command has succeeded, with any profile."""
    return job.finished.exists() and is_submitted_command(job)


def is_submitted_command(job: Job) -> bool:
    """Whether the last job of this folder had the same command."""
    kept = job.command_file
    return kept.exists() and kept.read_text(encoding="utf-8") == f"{shlex.join(job.command)}\n"


def refuse_queued_job(job: Job) -> None:
    """Raise ValueError if the last job of this folder is still in the queue."""
    if not job.id_file.exists():
        return
    ids = job.id_file.read_text(encoding="utf-8")
    queued = subprocess.run(["squeue", "-h", "-j", ids], capture_output=True, text=True)
    if queued.returncode == 0 and queued.stdout.strip():  # squeue fails for an id that SLURM no longer knows
        raise ValueError(
            f"{job.folder}: its job {ids} is still queued or running. Wait for it, `scancel` it, or give another "
            "--name."
        )


def refuse_existing_run(job: Job) -> None:
    """Raise ValueError if a new fit would resume the checkpoints of another run."""
    if job.command[0] != "fit" or value_of("--ckpt_path", job.command) is not None:
        return
    if not is_submitted_command(job) and any((job.folder / "checkpoints").glob("[!.]*.ckpt")):
        raise ValueError(
            f"{job.folder} already holds another run. Resume it with `fit --ckpt_path last`, or give another --name."
        )


def sbatch(job: Job, after: Sequence[str]) -> list[str]:
    """The command line that submits a job's script."""
    wait = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    return ["sbatch", "--parsable", *wait, str(job.script)]


def require_slurm() -> None:
    """Raise ValueError if SLURM is not installed."""
    if not all(shutil.which(name) for name in ("sbatch", "srun", "squeue")):
        raise ValueError(
            "sbatch, srun or squeue is not installed, so this machine cannot submit jobs to SLURM. "
            "--dry-run prints what would be submitted."
        )
