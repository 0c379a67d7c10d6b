"""`lagem submit`: any `lagem` command, or a chain of them, as jobs of a SLURM cluster."""

import argparse
import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lagem.cluster.job import Job
    from lagem.cluster.submission import Chain

SUMMARY = "run any lagem command, in parts if wished, or a chain of them as jobs of a SLURM cluster"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    parser.usage = "lagem submit [options] -- COMMAND ..., or lagem submit [options] --chain FILE"
    add("command", nargs="*", metavar="COMMAND", help="behind --: what to run, as it would stand behind `lagem`")
    add("--profile", type=Path, metavar="FILE", help="what a job asks of the cluster (default: one task of an hour)")
    add("--chain", type=Path, metavar="FILE", help="instead of a command: steps that wait for one another")
    add(
        "--array",
        type=int,
        default=0,
        metavar="N",
        help="for prepare, encode and evaluate: N tasks share the work before the job itself does the last step",
    )
    add("--local", action="store_true", help="with --array: N processes of this machine, without SLURM")
    add("--after", nargs="+", default=[], metavar="JOB", help="ids of jobs that have to end well first")
    add("--name", metavar="NAME", help="of the job and its folder (default: what is run and when)")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of the jobs' folders (default: runs)")
    add("--dry-run", action="store_true", help="print the scripts and submit nothing; needs no SLURM")


def run(args: argparse.Namespace) -> None:
    """Submit, and print the job's id, or a line for each step of a chain."""
    from lagem.cluster.arrays import run_parts_here
    from lagem.cluster.submission import preview, preview_chain, require_slurm, submit, submit_chain

    check_options(args)
    if not args.dry_run and not args.local:
        require_slurm()
    chain = chain_of(args) if args.chain else [(job_of(args), [])]
    for job, _ in chain:
        check(job)
    job = chain[0][0]
    if args.dry_run:
        print(preview_chain(chain, args.after) if args.chain else preview(job, args.after), end="")
    elif args.local:
        from lagem.cli import main

        run_parts_here(job)
        main(list(job.command))
    elif args.chain:
        for step, id in submit_chain(chain, args.after):
            print(
                f"{step.name}: {f'job {id}' if id else 'ended well before, not submitted'}; {step.folder}", flush=True
            )
    else:
        print(submit(job, args.after))
        print(f"script and logs: {job.folder}", file=sys.stderr)


def check_options(args: argparse.Namespace) -> None:
    """ValueError for options that do not go together."""
    if bool(args.command) == bool(args.chain):
        raise ValueError("give a command behind --, or a --chain: one of them.")
    if args.local and not args.array:
        raise ValueError("--local is for --array; without parts run the command itself.")
    if args.local and args.after:
        raise ValueError("--after waits for jobs of a cluster, but --local runs here.")
    if args.chain and args.array:
        raise ValueError("--array is for one command; in a chain the steps say `array:`.")


def profile_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of the profile."""
    from lagem.cluster.profile import make_profile, read_yaml

    if args.profile is None:
        return {}
    values: dict[str, Any] = read_yaml(args.profile, dict)
    make_profile(values, where=str(args.profile))
    return values


def job_of(args: argparse.Namespace) -> "Job":
    """The one job that is asked for."""
    from lagem.cluster.job import Job, checked_folder
    from lagem.cluster.profile import Profile

    name = args.name or f"{title_of(args.command)}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = checked_folder(args.runs, name)
    profile = Profile(**profile_of(args))
    python = shlex.quote(sys.executable)
    return Job(name=name, command=args.command, folder=folder, profile=profile, python=python, parts=args.array)


def chain_of(args: argparse.Namespace) -> "Chain":
    """The jobs of the chain that is asked for."""
    from lagem.cluster.chain import jobs_of, load_chain
    from lagem.cluster.job import checked_folder

    folder = checked_folder(args.runs, args.name or args.chain.stem)
    return jobs_of(load_chain(args.chain), profile_of(args), folder, shlex.quote(sys.executable))


def title_of(command: Sequence[str]) -> str:
    """What a command runs, in a word or two: the experiment, which is its first --config; layers come after it."""
    from lagem.cluster.job import values_of

    configs = values_of("--config", command)
    return Path(configs[0]).stem if configs else command[0]


def check(job: "Job") -> None:
    """Parse the job's command now, rather than when its turn comes in the queue."""
    import yaml

    from lagem.cli import TRAINING_VERBS, main, parse_tool
    from lagem.cluster.arrays import parts_of

    job.text()
    if job.parts:
        parts_of(job)
    if job.command[0] not in TRAINING_VERBS:
        parse_tool(list(job.command))
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*job.command, "--print_config"])
    settings = yaml.safe_load(printed.getvalue())
    if settings is None:
        raise SystemExit(2)  # its message is above
    asked = settings["trainer"]["num_nodes"], settings["trainer"]["devices"]
    if asked != (job.profile.nodes, job.profile.tasks_per_node):
        print(
            f"note: {job.name}: the experiment is made for {asked[0]} x {asked[1]} nodes x devices, the profile has "
            f"{job.profile.nodes} x {job.profile.tasks_per_node}; batch_size is that of one device.",
            file=sys.stderr,
        )
