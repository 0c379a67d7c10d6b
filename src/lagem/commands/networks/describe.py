"""`lagem describe`: print the size and the cost of an experiment before it runs."""

import argparse
import json
from pathlib import Path

SUMMARY = "print the numbers of parameters, latents, operations and activations of an experiment before it runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    parser.add_argument("config", type=Path, help="experiment file, as for `lagem fit --config`")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the description of the experiment."""
    from lagem.training.command_line import read_settings

    read_settings(str(args.config))
    from lagem.training.description import describe_experiment, print_description

    description = describe_experiment(args.config)
    if args.json:
        print(json.dumps(description, indent=2))
    else:
        print_description(description)
