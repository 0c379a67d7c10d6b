"""Submit jobs to SLURM, or show what would be submitted."""

import shlex
import shutil
import subprocess
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

from lagem.cluster.arrays import script_of_parts, submit_parts
from lagem.cluster.job import Job, value_of
from lagem.storage.atomic import write_text
from lagem.storage.parts import locked

Chain = Sequence[tuple[Job, Sequence[str]]]  # jobs, each with the names of the earlier jobs that it waits for
UNKNOWN_ID = "Invalid job id"  # what squeue prints, and fails, for a job that SLURM no longer knows


def submit(job: Job, after: Sequence[str] = ()) -> str:
    """Submit a job.

    Args:
        job: The job; its script is written to its folder.
        after: Ids of jobs that must succeed first; if one of them fails, this job is cancelled.

    Returns:
        The job's id.

    Raises:
        ValueError: If SLURM is not installed or refuses the job, or if the job's folder holds another run, or a job
            that is still queued or running. The message is one line.
    """
    require_slurm()
    refuse_queued_job(job)
    refuse_existing_run(job)
    text = job.text()
    start_record(job)
    write_text(job.script, text)
    array = [submit_parts(job, after)] if job.parts else []
    after = array or after
    done = subprocess.run(sbatch(job, after), capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"sbatch refused {job.script}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    id = done.stdout.strip().split(";")[0]  # with several clusters, the cluster's name follows
    write_text(job.id_file, ",".join([id, *array]))
    return id


def submit_chain(chain: Chain, after: Sequence[str] = ()) -> Iterator[tuple[Job, str | None]]:
    """Submit the jobs of a chain.

    A job that has already succeeded is skipped, unless the job waits for another job that this call submits.

    Args:
        chain: The jobs.
        after: Ids of jobs that must succeed before any job of the chain starts.

    Yields:
        Each job with its id, or with None if it is skipped.
    """
    with only_chain_in(chain):
        for job, _ in chain:  # check all jobs before the first is submitted
            refuse_queued_job(job)
        missing = names_to_run(chain)
        refuse_outdated_fits(chain, missing)
        ids: dict[str, str] = {}
        for job, needed in chain:
            if job.name not in missing:
                yield job, None
                continue
            ids[job.name] = submit(job, [ids[name] for name in needed if name in ids] or after)
            yield job, ids[job.name]


@contextmanager
def only_chain_in(chain: Chain) -> Iterator[None]:
    """Hold the lock of the folder of a chain, which is created; raises ValueError if another chain is started there."""
    folder = chain[0][0].folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, "lagem submit --chain"):
        yield


def names_to_run(chain: Chain) -> set[str]:
    """Return the names of the jobs that have not succeeded yet, and of those that wait for such a job."""
    names: set[str] = set()
    for job, needed in chain:
        if not is_finished(job) or names.intersection(needed):
            names.add(job.name)
    return names


def preview(job: Job, after: Sequence[str] = ()) -> str:
    """Return what `submit` would submit, as text.

    The text holds the batch script of the job, and that of the job's parts if it has parts. If the job waits for its
    parts or for other jobs, the text also holds the sbatch command, which names them.
    """
    texts = []
    if job.parts:
        texts.append(f"# {job.parts} parts, by submitit\n{script_of_parts(job, after)}")
        after = [f"ARRAY_OF_{job.name}"]
    script = job.text()
    texts.append(f"# {shlex.join(sbatch(job, after))}\n{script}" if after else script)
    return "\n".join(texts)


def preview_chain(chain: Chain, after: Sequence[str] = ()) -> str:
    """Return what `submit_chain` would submit if no job had succeeded yet, as text."""
    texts = [f"# == {job.name}\n{preview(job, needed or after)}" for job, needed in chain]
    return "\n".join(["# The names of steps stand for the ids of their jobs.", *texts])


def start_record(job: Job) -> None:
    """Make the folder of a job that will run, write the job's command to it, and remove the mark of success."""
    job.folder.mkdir(parents=True, exist_ok=True)
    job.finished.unlink(missing_ok=True)
    write_text(job.command_file, f"{shlex.join(job.command)}\n")


def is_finished(job: Job) -> bool:
    """Return whether the job's command has succeeded in its folder, under this or any other profile."""
    return job.finished.exists() and is_submitted_command(job)


def is_submitted_command(job: Job) -> bool:
    """Return whether the last job that was started in this job's folder had the same command."""
    kept = job.command_file
    return kept.exists() and kept.read_text(encoding="utf-8") == f"{shlex.join(job.command)}\n"


def refuse_queued_job(job: Job, *, local: bool = False) -> None:
    """Raise ValueError if the last job submitted from this job's folder is still queued or running.

    Args:
        job: The job.
        local: Whether the job is to run on this machine, where SLURM may be missing. Then the job is also refused if
            SLURM cannot be asked, unless the submitted job has succeeded.
    """
    if not job.id_file.exists():
        return
    ids = job.id_file.read_text(encoding="utf-8")
    squeue = shutil.which("squeue")
    queued = subprocess.run([squeue, "-h", "-j", ids], capture_output=True, text=True) if squeue else None
    if queued is not None and queued.returncode == 0 and queued.stdout.strip():
        raise ValueError(
            f"{job.folder}: the job {ids} of this folder is still queued or running. Wait for that job, `scancel` it, "
            "or give another --name."
        )
    is_known = queued is not None and (queued.returncode == 0 or UNKNOWN_ID in queued.stderr)
    if local and not is_known and not job.finished.exists():
        raise ValueError(
            f"{job.folder}: the job {ids} was submitted from this folder, and squeue is missing here or fails, so it "
            f"may still be queued or running. If it is not, remove {job.id_file}; or give another --name."
        )


def refuse_outdated_fits(chain: Chain, missing: Container[str]) -> None:
    """Raise ValueError if a fit would resume, though a job that it waits for will run again and may change its data.

    Args:
        chain: The jobs.
        missing: Names of the jobs that will run.
    """
    again = {job.name: [name for name in needed if name in missing] for job, needed in chain}
    outdated = [
        job
        for job, _ in chain
        if job.command[0] == "fit"
        and value_of("--ckpt_path", job.command) in (None, "last")
        and again[job.name]
        and holds_checkpoints(job)
    ]
    if outdated:
        waits_for = sorted({name for job in outdated for name in again[job.name]})
        raise ValueError(
            f"{', '.join(job.name for job in outdated)} would resume from checkpoints, but {', '.join(waits_for)} has "
            "not succeeded with its present command, so the data may change. To keep the training, restore the "
            f"earlier command of {', '.join(waits_for)}, which is in command.txt. To train anew, remove "
            f"{', '.join(str(job.folder) for job in outdated)}, or give another --name."
        )


def holds_checkpoints(job: Job) -> bool:
    """Return whether a fit has saved checkpoints in the folder of this job."""
    return any((job.folder / "checkpoints").glob("[!.]*.ckpt"))


def refuse_existing_run(job: Job) -> None:
    """Raise ValueError if a fit without `--ckpt_path` would resume from the checkpoints of another run."""
    if job.command[0] != "fit" or value_of("--ckpt_path", job.command) is not None:
        return
    if not is_submitted_command(job) and holds_checkpoints(job):
        raise ValueError(
            f"{job.folder} already holds another run. Resume that run with `fit --ckpt_path last`, or give another "
            "--name."
        )


def sbatch(job: Job, after: Sequence[str]) -> list[str]:
    """Return the command line that submits a job's script."""
    wait = [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []
    return ["sbatch", "--parsable", *wait, str(job.script)]


def require_slurm() -> None:
    """Raise ValueError if SLURM is not installed."""
    if not all(shutil.which(name) for name in ("sbatch", "srun", "squeue")):
        raise ValueError(
            "sbatch, srun or squeue is not installed, so this machine cannot submit jobs to SLURM. "
            "Use --dry-run to see what would be submitted, or --local to run a chain or an array on this machine."
        )
