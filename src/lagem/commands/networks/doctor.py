"""`lagem doctor`: find out what is wrong with an experiment before it runs."""

import argparse
from pathlib import Path

from lagem.commands import options

SUMMARY = "test an experiment's data, learning rate, precision, loader and memory, and a few training steps"
FAULTS_FOUND = 1  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    options.add_experiment(parser, "lagem doctor [-h] [--json FILE]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings as JSON")


def run(args: argparse.Namespace) -> None:
    """Print the findings; exit with code 1 if something is wrong."""
    from lagem.training.command_line import check_experiment

    check_experiment(args.config, args.settings)
    from lagem.diagnosis.examination import diagnose
    from lagem.diagnosis.report import print_report, write_report

    diagnosis = diagnose(args.config, args.settings)
    print_report(diagnosis)
    if args.json is not None:
        write_report(diagnosis, args.json)
    if diagnosis.faults:
        raise SystemExit(FAULTS_FOUND)
