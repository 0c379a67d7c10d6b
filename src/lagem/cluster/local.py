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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, strsignal
from typing import BinaryIO

from lagem.cli import discard, print_or_discard
from lagem.cluster.arrays import folder_of
from lagem.cluster.job import Job
from lagem.cluster.submission import (
    Chain,
    names_to_run,
    only_chain_in,
    refuse_existing_run,
    refuse_outdated_fits,
    refuse_queued_job,
    start_record,
)
from lagem.progress import long_progress
from lagem.signals import STARTER, first_stop_postponed, kept_on_stop
from lagem.storage.atomic import open_log

LOG = "local.out"
SECONDS_BETWEEN_LOOKS = 0.2


def run_chain_here(chain: Chain) -> None:
    """Run the jobs of a chain one after another, until all have succeeded or one fails.

    A job that has already succeeded is skipped, unless it waits for another job that this call runs. When a job starts
    and when it ends, a line is printed. The lines of its log are printed too, indented. If printing fails, the jobs
    run all the same, and only their logs get what they print.

    Raises:
        ValueError: If a job fails or may not run in its folder, or if another process runs this chain; the message is
            one line.
    """
    started = time.monotonic()
    with only_chain_in(chain):
        missing = names_to_run(chain)
        for job, _ in chain:  # check all jobs before the first starts
            if job.name in missing:
                refuse_queued_job(job, local=True)
                refuse_existing_run(job)
        refuse_outdated_fits(chain, missing)
        for job, _ in chain:
            if job.name in missing:
                start_record(job)
                job.id_file.unlink(missing_ok=True)  # no longer that of the last start, and not queued
        for number, (job, _) in enumerate(chain, 1):
            title = f"step {number} of {len(chain)} ({job.name})"
            if job.name in missing:
                _run_step(job, title)
            else:
                _say(f"{title}: succeeded before, skipped")
    done = f"all {len(chain)} steps have succeeded" if len(chain) > 1 else "the step has succeeded"
    _say(f"{done} ({_since(started)}); results: {chain[0][0].folder.parent}")


def run_parts_here(job: Job) -> None:
    """Run the parts of a job in parallel, at most one per usable core; raises ValueError if any of them fails."""
    folder = folder_of(job)
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"part_{number}.out" for number in range(job.parts)]
    waiting = list(range(job.parts))
    failed: list[int] = []
    running: dict[int, subprocess.Popen[bytes]] = {}
    with (
        kept_on_stop(lambda: "the parts keep what they have done. To resume, run the same command again."),
        ExitStack() as at_end,
        _stopped_with(running.values()),
    ):
        progress = long_progress()
        task = progress.add_task("parts", total=job.parts)
        at_end.callback(_show, progress.stop)
        _show(progress.start)
        while waiting or running:
            while waiting and len(running) < _usable_cores():
                number = waiting.pop(0)
                with first_stop_postponed():
                    running[number] = _start([*job.command, "--part", f"{number}/{job.parts}"], logs[number])
            for number in [number for number, part in running.items() if part.poll() is not None]:
                if running.pop(number).returncode:
                    failed.append(number)
                _show(lambda: progress.advance(task))
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if failed:
        raise ValueError(
            f"{job.name}: {len(failed)} of {job.parts} parts failed, for example part {min(failed)}, whose log is "
            f"{logs[min(failed)]}. Fix the cause and run the same command again; finished work is not repeated."
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
    _say(f"{title}: started; log: {log}")
    with kept_on_stop(lambda: f"{title} has stopped; its log is {log}. To resume, run the same command again."):
        if job.parts:
            run_parts_here(job)
        code = _run_whole(job, log)
    if code:
        raise ValueError(
            f"{title} {_ending(code)}; its log is {log}. Fix the cause and run the same command again; steps that have "
            "succeeded are skipped."
        )
    _say(f"{title}: succeeded in {_since(started)}; log: {log}")


def _run_whole(job: Job, log: Path) -> int:
    """Run a job's command, print what its log gets, and mark the job if it succeeds; return the exit code."""
    started: list[subprocess.Popen[bytes]] = []
    with open_log(log) as printed:
        try:
            with _stopped_with(started):
                with first_stop_postponed():
                    started.append(_start(job.command_on(None), log))
                while started[0].poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        started[0].wait(SECONDS_BETWEEN_LOOKS)
                    _print_new_lines(printed)
        finally:
            if started and started[0].poll() == 0:
                job.finished.touch()
            _print_new_lines(printed, ended=True)
    return started[0].returncode


def _start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a `lagem` command as a child that appends to a log, and that ends with this process.

    Neither the child nor the ranks that it starts import modules from the current folder.
    """
    with open_log(log) as output:
        line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {shlex.join(['lagem', *words])}\n"
        output.write(line.encode(errors="replace"))
        output.flush()
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "lagem", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, STARTER: str(os.getpid()), "PYTHONSAFEPATH": "1"},
        )


@contextmanager
def _stopped_with(children: Iterable[subprocess.Popen[bytes]]) -> Iterator[None]:
    """If the block raises, signal the children, and wait until all have exited.

    The signal is SIGINT if that stopped this process; otherwise, it is SIGTERM. If this process receives its first
    signal while it waits, `Stopped` is raised when all have exited.
    """
    try:
        yield
    except BaseException as error:
        is_stop = isinstance(error, KeyboardInterrupt)
        signum = SIGINT if is_stop and getattr(error, "signum", SIGINT) is SIGINT else SIGTERM
        with first_stop_postponed():
            for child in children:
                child.send_signal(signum)
            if is_stop:
                print_or_discard(f"lagem: {signum.name}: waiting for the running command to stop", sys.stderr)
            for child in children:
                child.wait()
        raise


def _print_new_lines(log: BinaryIO, *, ended: bool = False) -> None:
    """Print the lines that a log has got since the last call; an unfinished line only if its writer has ended."""
    for line in log.readlines():
        if not line.endswith(b"\n") and not ended:
            log.seek(-len(line), os.SEEK_CUR)
        else:
            _say(f"  {line.decode(errors='replace').rstrip()}")


def _say(line: str) -> None:
    _show(lambda: print(line, flush=True))


def _show(show: Callable[[], object]) -> None:
    """Call a function that prints. If printing fails, as when `tee` has ended, discard all that is printed from now on.

    The error output then names the reason, so that nobody takes the silence for a hang.
    """
    try:
        show()
    except OSError as error:
        discard(sys.stdout)
        reason = f"the output cannot be printed ({error.strerror}); the logs of the steps get it all the same"
        print_or_discard(f"lagem: note: {reason}", sys.stderr)


def _ending(code: int) -> str:
    """Return in words how a failed child ended."""
    if code == -SIGKILL:
        return "was killed by SIGKILL, perhaps because memory ran out"
    return f"was killed by signal {-code} ({strsignal(-code)})" if code < 0 else f"failed with exit code {code}"


def _usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _since(started: float) -> str:
    return str(timedelta(seconds=int(time.monotonic() - started)))
