"""Run jobs on this machine, without SLURM: the steps of a chain one after another, the parts of a step in parallel.

Each command is a child process that writes to a log. A child is not in the session of the terminal, so Ctrl-C reaches
only this process, which passes the signal on once and waits until the child has saved and exited. If this process is
killed, its children are killed too.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import BinaryIO

from lagem.cluster.job import Job
from lagem.cluster.submission import (
    Chain,
    names_to_run,
    only_chain_in,
    refuse_existing_run,
    refuse_queued_job,
    start_record,
)
from lagem.progress import long_progress
from lagem.signals import STARTER, Stopped, kept_on_stop

LOG = "local.out"
SECONDS_BETWEEN_LOOKS = 0.2


def run_chain_here(chain: Chain) -> None:
    """Run the jobs of a chain one after another, until all have succeeded or one fails.

    A job that has already succeeded is skipped, unless it waits for another job that this call runs. When a job starts
    and when it ends, a line is printed. The lines of its log are printed too, indented.

    Raises:
        ValueError: If a job fails or may not run in its folder, or if another process runs this chain; the message is
            one line.
    """
    started = time.monotonic()
    with only_chain_in(chain):
        missing = names_to_run(chain)
        for job, _ in chain:  # check all jobs before the first starts
            if job.name in missing:
                refuse_queued_job(job)
                refuse_existing_run(job)
        for job, _ in chain:
            if job.name in missing:
                start_record(job)
        for number, (job, _) in enumerate(chain, 1):
            title = f"step {number} of {len(chain)} ({job.name})"
            if job.name in missing:
                _run_step(job, title)
            else:
                print(f"{title}: succeeded before, skipped", flush=True)
    print(
        f"all {len(chain)} steps have succeeded ({_since(started)}); results: {chain[0][0].folder.parent}", flush=True
    )


def run_parts_here(job: Job) -> None:
    """Run the parts of a job in parallel, at most one per core; raises ValueError if any of them fails."""
    folder = job.folder / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"part_{number}.out" for number in range(job.parts)]
    waiting = list(range(job.parts))
    failed: list[int] = []
    running: dict[int, subprocess.Popen[bytes]] = {}
    with (
        kept_on_stop(lambda: "the parts keep what they have done. To resume, run the same command again."),
        long_progress() as progress,
        _stopped_with(running.values()),
    ):
        task = progress.add_task("parts", total=job.parts)
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                number = waiting.pop(0)
                running[number] = _start([*job.command, "--part", f"{number}/{job.parts}"], logs[number])
            for number in [number for number, part in running.items() if part.poll() is not None]:
                if running.pop(number).returncode:
                    failed.append(number)
                progress.advance(task)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if failed:
        raise ValueError(
            f"{job.name}: {len(failed)} of {job.parts} parts failed, for example part {failed[0]}, whose log is "
            f"{logs[failed[0]]}. Fix the cause and run the same command again; finished work is not repeated."
        )


def preview_here(chain: Chain) -> str:
    """Return the commands that the jobs would run on this machine, if no job had succeeded yet."""
    texts = []
    for job, _ in chain:
        texts.append(f"# == {job.name}")
        if job.parts:
            texts.append(
                f"# in {job.parts} parts, --part 0/{job.parts} to {job.parts - 1}/{job.parts}, and then whole:"
            )
        texts.append(shlex.join(["lagem", *job.command_on(None)]))
    return "\n".join(texts) + "\n"


def _run_step(job: Job, title: str) -> None:
    """Run one step of a chain; raises ValueError if it fails."""
    log, started = job.folder / LOG, time.monotonic()
    print(f"{title}: started; log: {log}", flush=True)
    with kept_on_stop(lambda: f"{title} has stopped; its log is {log}. To resume, run the same command again."):
        if job.parts:
            run_parts_here(job)
        code = _run_whole(job, log)
    if code:
        raise ValueError(
            f"{title} {_ending(code)}; its log is {log}. Fix the cause and run the same command again; steps that have "
            "succeeded are skipped."
        )
    print(f"{title}: succeeded in {_since(started)}; log: {log}", flush=True)


def _run_whole(job: Job, log: Path) -> int:
    """Run a job's command, print what its log gets, and mark the job if it succeeds; return the exit code."""
    with log.open("ab+") as printed:
        child = _start(job.command_on(None), log)
        try:
            with _stopped_with([child]):
                while child.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(SECONDS_BETWEEN_LOOKS)
                    _print_new_lines(printed)
        finally:
            if child.poll() == 0:
                job.finished.touch()
            _print_new_lines(printed, ended=True)
    return child.returncode


def _start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a `lagem` command as a child that appends to a log, and that ends with this process."""
    with log.open("ab") as output:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {shlex.join(['lagem', *words])}\n"
        output.write(line.encode(errors="replace"))
        output.flush()
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "lagem", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, STARTER: str(os.getpid())},
        )


@contextmanager
def _stopped_with(children: Iterable[subprocess.Popen[bytes]]) -> Iterator[None]:
    """If the block raises, signal the children, and wait until all have exited.

    The signal is the one that stopped this process; for any other error, it is SIGTERM.
    """
    try:
        yield
    except BaseException as error:
        signum = (
            error.signum if isinstance(error, Stopped) else SIGINT if isinstance(error, KeyboardInterrupt) else SIGTERM
        )
        for child in children:
            child.send_signal(signum)
        if isinstance(error, KeyboardInterrupt):
            print(f"lagem: {signum.name}: waiting for the running command to stop", file=sys.stderr, flush=True)
        for child in children:
            child.wait()
        raise


def _print_new_lines(log: BinaryIO, *, ended: bool = False) -> None:
    """Print the lines that a log has got since the last call; an unfinished line only if its writer has ended."""
    for line in log.readlines():
        if not line.endswith(b"\n") and not ended:
            log.seek(-len(line), os.SEEK_CUR)
        else:
            print(f"  {line.decode(errors='replace').rstrip()}")
    sys.stdout.flush()


def _ending(code: int) -> str:
    """Return in words how a child ended that did not succeed."""
    if code == -SIGKILL:
        return "was killed by SIGKILL, perhaps because memory ran out"
    return f"was killed by {Signals(-code).name}" if code < 0 else f"failed with exit code {code}"


def _since(started: float) -> str:
    return str(timedelta(seconds=int(time.monotonic() - started)))
