"""`lagem submit`: any `lagem` command, or a chain of them, as jobs of a SLURM cluster."""

import argparse
from pathlib import Path

SUMMARY = "run any lagem command, optionally in parts, or a chain of them as jobs of a SLURM cluster"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    add = parser.add_argument
    parser.usage = "lagem submit [options] -- COMMAND ..., or lagem submit [options] --chain FILE"
    add("command", nargs="*", metavar="COMMAND", help="after --: what to run, as you would type it after `lagem`")
    add("--profile", type=Path, metavar="FILE", help="what a job asks of the cluster (default: one task for an hour)")
    add("--chain", type=Path, metavar="FILE", help="steps to run instead of a command, each after those it waits for")
    add(
        "--array",
        type=int,
        default=0,
        metavar="N",
        help="for prepare, encode and evaluate: N tasks share the work, then the job itself does the last step",
    )
    add("--local", action="store_true", help="with --array: run N processes on this machine, without SLURM")
    add("--after", nargs="+", default=[], metavar="JOB", help="ids of jobs that must succeed first")
    add("--name", metavar="NAME", help="name of the job and its folder (default: what it runs, and the time)")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="parent of the jobs' folders (default: runs)")
    add("--dry-run", action="store_true", help="print the scripts and submit nothing; needs no SLURM")


def run(args: argparse.Namespace) -> None:
    """Submit, and print the job's id, or one line for each step of a chain."""
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
