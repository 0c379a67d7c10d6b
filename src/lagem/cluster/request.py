"""One call of `lagem submit`: checks all jobs that it asks for, and then submits, runs or previews them."""

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lagem.cli import TRAINING_VERBS, main, parse_tool
from lagem.cluster.arrays import parts_of, require_submitit
from lagem.cluster.chain import jobs_of, load_chain
from lagem.cluster.job import Job, checked_folder, values_of
from lagem.cluster.local import preview_here, run_chain_here, run_parts_here
from lagem.cluster.profile import Profile, make_profile
from lagem.cluster.submission import Chain, preview, preview_chain, require_slurm, submit, submit_chain
from lagem.configuration.yaml_text import read_yaml
from lagem.signals import signals_blocked, stop_on_requeue


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to submit: one command, or a chain of commands.

    Args:
        command: Verb and arguments of `lagem`; empty for a chain.
        chain: File of a chain of commands; None for one command.
        profile: File of the profile; None for the default profile.
        parts: Number of array tasks that share the work; 0 for no array.
        local: Whether the parts, or the steps of the chain, run as processes on this machine.
        after: Ids of jobs that must succeed first.
        name: Name of the job or the chain, and of its folder; None to choose one from the command and the time, or
            from the file of the chain.
        runs: Parent of the folders of jobs and chains.
        dry_run: Whether to print the scripts instead of submitting them.
    """

    command: Sequence[str]
    chain: Path | None
    profile: Path | None
    parts: int
    local: bool
    after: Sequence[str]
    name: str | None
    runs: Path
    dry_run: bool

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.chain):
            raise ValueError("give a command after --, or --chain FILE: exactly one of the two.")
        if self.local and not (self.parts or self.chain):
            raise ValueError(
                "--local needs --array or --chain. To run the command on this machine without them, write `lagem` and "
                "the words after `--`."
            )
        if self.local and self.profile:
            raise ValueError("--local uses this machine as it is, without a profile; leave --profile out.")
        if self.local and self.after:
            raise ValueError("--after waits for jobs of a cluster, so it cannot be used with --local; leave one out.")
        if self.chain and self.parts:
            raise ValueError("--array is for one command; in a chain, set `array` in the steps instead.")

    def jobs(self) -> Chain:
        """Return the requested jobs, each with the names of the jobs that it waits for."""
        python = shlex.quote(sys.executable)
        if self.chain:
            folder = checked_folder(self.runs, self.name or self.chain.stem)
            return jobs_of(load_chain(self.chain), self.profile_fields(), folder, python)
        name = self.name or f"{title_of(self.command)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        folder, profile = checked_folder(self.runs, name), Profile(**self.profile_fields())
        return [
            (Job(name=name, command=self.command, folder=folder, profile=profile, python=python, parts=self.parts), [])
        ]

    def profile_fields(self) -> dict[str, Any]:
        """Return the fields in the profile's file, after checking them."""
        if self.profile is None:
            return {}
        values: dict[str, Any] = read_yaml(self.profile, dict)
        make_profile(values, where=str(self.profile))
        return values


def carry_out(request: Request) -> None:
    """Submit, run or preview the requested jobs.

    If one command is submitted, its job's id is printed. If a chain is submitted, one line for each step is printed. A
    preview prints the scripts, or the commands that would run on this machine.
    """
    if not request.dry_run and not request.local:
        require_slurm()
    if request.local:
        stop_on_requeue()
    jobs = request.jobs()
    for job, _ in jobs:
        check(job, local=request.local)
    if request.local and (ignored := ignored_fields(jobs)):
        print(
            f"note: --local ignores {', '.join(ignored)} in the profiles of the steps; each step uses this machine "
            "as it is.",
            file=sys.stderr,
        )
    job = jobs[0][0]
    if request.dry_run and request.local:
        print(preview_here(jobs), end="")
    elif request.dry_run:
        print(preview_chain(jobs, request.after) if request.chain else preview(job, request.after), end="")
    elif request.local and request.chain:
        run_chain_here(jobs)
    elif request.local:
        run_parts_here(job)
        main(list(job.command))
    elif request.chain:
        for step, id in submit_chain(jobs, request.after):
            print(f"{step.name}: {f'job {id}' if id else 'succeeded before, not submitted'}; {step.folder}", flush=True)
    else:
        print(submit(job, request.after))
        print(f"script and logs: {job.folder}", file=sys.stderr)


def title_of(command: Sequence[str]) -> str:
    """Return a short name for a command: the file name of its first `--config` without extension, else its verb."""
    configs = values_of("--config", command)
    return Path(configs[0]).stem if configs else command[0]


def ignored_fields(jobs: Chain) -> list[str]:
    """Return the names of the fields of the profiles that a run on this machine ignores, in order."""
    default = Profile()
    return [
        one.name
        for one in fields(Profile)
        if any(getattr(job.profile, one.name) != getattr(default, one.name) for job, _ in jobs)
    ]


def check(job: Job, *, local: bool) -> None:
    """Parse the job's command, so that a mistake in it is reported now and not when the job starts."""
    job.command_on(None if local else job.profile)
    if job.parts:
        parts_of(job)
        if not local:
            require_submitit()
    if job.command[0] in TRAINING_VERBS:
        check_training(job, local=local)
    else:
        parse_tool(list(job.command))


def check_training(job: Job, *, local: bool) -> None:
    """Parse the command of a training, and exit with code 2 if it is wrong.

    If the numbers of nodes or devices in the experiment differ from those in the profile, a note is printed. This
    machine counts as a profile of one node with the devices of the experiment.
    """
    printed = io.StringIO()
    # signals are blocked here too, since `main` would turn a stop into an exit, which is ignored
    with signals_blocked(), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*job.command, "--print_config"])
    settings = yaml.safe_load(printed.getvalue())
    if settings is None:
        raise SystemExit(2)  # `main` has printed why
    nodes, devices = settings["trainer"]["num_nodes"], settings["trainer"]["devices"]
    used = (1, devices) if local else (job.profile.nodes, job.profile.tasks_per_node)
    if (nodes, devices) != used:
        print(
            f"note: {job.name}: the experiment is for {nodes} x {devices} (nodes x devices), but "
            f"{'this machine' if local else 'the profile'} has {used[0]} x {used[1]}. This changes the global batch: "
            "batch_size is per device.",
            file=sys.stderr,
        )
