"""Handing jobs to SLURM, or showing what would be handed over."""

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
        job: Its script is written to its folder.
        after: Ids of jobs that have to end well first; where one fails, this job is cancelled.

    Returns:
        The job's id; ValueError in one line where SLURM refuses it, or is not there.
    """
    require_slurm()
    refuse_a_job_that_is_queued(job)
    refuse_a_run_that_is_there(job)
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
    id = done.stdout.strip().split(";")[0]  # the cluster's name follows where there are several
    write_text(job.id_file, ",".join([id, *array]))
    return id


def submit_chain(chain: Chain, after: Sequence[str] = ()) -> Iterator[tuple[Job, str | None]]:
    """Submit jobs that wait for one another; one that has ended well since the last time is left out.

    Args:
        chain: The jobs.
        after: Ids of jobs that have to end well before any of them.

    Yields:
        Each job with its id, or with None where it is left out.
    """
    for job, _ in chain:  # before the first is submitted
        refuse_a_job_that_is_queued(job)
    ids: dict[str, str] = {}
    for job, needed in chain:
        waits_for = [ids[name] for name in needed if name in ids]
        if not waits_for and is_finished(job):
            yield job, None
            continue
        ids[job.name] = submit(job, waits_for or after)
        yield job, ids[job.name]


def preview(job: Job, after: Sequence[str] = ()) -> str:
    """What `submit` would hand over: the script alone where it is one script that waits for nothing."""
    texts = []
    if job.parts:
        texts.append(f"# {job.parts} parts, by submitit\n{script_of_parts(job, after)}")
        after = [f"ARRAY_OF_{job.name}"]
    script = job.text()
    texts.append(f"# {shlex.join(sbatch(job, after))}\n{script}" if after else script)
    return "\n".join(texts)


def preview_chain(chain: Chain, after: Sequence[str] = ()) -> str:
    """What `submit_chain` would hand over, were nothing finished."""
    texts = [f"# == {job.name}\n{preview(job, needed or after)}" for job, needed in chain]
    return "\n".join(["# The names of steps stand for the ids of their jobs.", *texts])


def is_finished(job: Job) -> bool:
    """Whether the same command has ended well, whatever it asked of the cluster."""
    return job.finished.exists() and is_submitted_command(job)


def is_submitted_command(job: Job) -> bool:
    """Whether the last job of this folder had the same command."""
    kept = job.command_file
    return kept.exists() and kept.read_text(encoding="utf-8") == f"{shlex.join(job.command)}\n"


def refuse_a_job_that_is_queued(job: Job) -> None:
    """ValueError where SLURM still knows the last job of this folder."""
    if not job.id_file.exists():
        return
    ids = job.id_file.read_text(encoding="utf-8")
    queued = subprocess.run(["squeue", "-h", "-j", ids], capture_output=True, text=True)
    if queued.returncode == 0 and queued.stdout.strip():  # squeue fails for an id that SLURM has forgotten
        raise ValueError(
            f"{job.folder}: its job {ids} still waits or runs. Wait for it, `scancel` it, or give another --name."
        )


def refuse_a_run_that_is_there(job: Job) -> None:
    """ValueError where a new fit would go on with the checkpoints of another run."""
    if job.command[0] != "fit" or value_of("--ckpt_path", job.command) is not None:
        return
    if not is_submitted_command(job) and any((job.folder / "checkpoints").glob("[!.]*.ckpt")):
        raise ValueError(
            f"{job.folder} already holds another run. Go on with it by --ckpt_path last behind `fit`, or give another "
            "--name."
        )


def sbatch(job: Job, after: Sequence[str]) -> list[str]:
    """The command line that submits a job's script."""
    wait = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    return ["sbatch", "--parsable", *wait, str(job.script)]


def require_slurm() -> None:
    """ValueError where there is no SLURM."""
    if not all(shutil.which(name) for name in ("sbatch", "srun", "squeue")):
        raise ValueError(
            "there is no sbatch and srun here, so this machine submits to no SLURM cluster. "
            "--dry-run prints what would be submitted."
        )
