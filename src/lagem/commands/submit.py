"""`lagem submit`: run any `lagem` command, or a chain of commands, as jobs of a SLURM cluster or on this machine."""

import argparse
from pathlib import Path

SUMMARY = "run any lagem command, or a chain of commands, as jobs of a SLURM cluster; or a chain on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    parser.usage = "lagem submit [options] -- COMMAND ..., or lagem submit [options] --chain FILE"
    add("command", nargs="*", metavar="COMMAND", help="command to run, after --, as you would type it after `lagem`")
    add("--profile", type=Path, metavar="FILE", help="YAML file of a job's resources (default: one task for an hour)")
    add("--chain", type=Path, metavar="FILE", help="YAML file of commands to run, which can wait for each other")
    add(
        "--array",
        type=int,
        default=0,
        metavar="N",
        help="let N tasks share the work of prepare, encode or evaluate, before the job itself does the last step",
    )
    add(
        "--local",
        action="store_true",
        help="run on this machine, without SLURM: with --chain, one step after another; with --array, the parts in "
        "parallel, at most one per core",
    )
    add("--after", nargs="+", default=[], metavar="JOB", help="ids of jobs that must succeed first")
    add(
        "--name",
        metavar="NAME",
        help="name of the job or chain and its folder (default: the command and the time, or the chain's file)",
    )
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="parent of the jobs' folders (default: runs)")
    add(
        "--dry-run",
        action="store_true",
        help="print the scripts (with --local, the commands) and run nothing; needs no SLURM",
    )


def run(args: argparse.Namespace) -> None:
    """Submit the command or the chain; with --local, run the command here; with --dry-run, only print the scripts."""
    from lagem.cluster.request import Request, carry_out

    carry_out(
        Request(
            command=args.command,
            chain=args.chain,
            profile=args.profile,
            parts=args.array,
            local=args.local,
            after=args.after,
            name=args.name,
            runs=args.runs,
            dry_run=args.dry_run,
        )
    )
