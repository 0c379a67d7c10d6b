"""`lagem doctor`: find out what is wrong with an experiment before it runs."""

import argparse
from pathlib import Path

SUMMARY = "test an experiment's data, learning rate, precision, loader and memory, and a few training steps"
FAULTS_FOUND = 1  # exit code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.set_defaults(settings=[])  # options that are not its own are settings of the experiment
    parser.usage = "lagem doctor [-h] [--json FILE] CONFIG [options as for `lagem fit`]"
    parser.add_argument("config", type=Path, metavar="CONFIG", help="experiment file, as for `lagem fit --config`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings as JSON")


def run(args: argparse.Namespace) -> None:
    """Print the findings; exit with code 1 if something is wrong."""
    from lagem.training.command_line import read_settings

    read_settings(str(args.config))
    from lagem.diagnosis.examination import diagnose
    from lagem.diagnosis.report import print_report, write_report

    diagnosis = diagnose(args.config, args.settings)
    print_report(diagnosis)
    if args.json is not None:
        write_report(diagnosis, args.json)
    if diagnosis.faults:
        raise SystemExit(FAULTS_FOUND)
