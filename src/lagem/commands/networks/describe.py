"""`lagem describe`: print the size and the cost of an experiment before it runs."""

import argparse
import json

from lagem.commands import options

SUMMARY = "print the numbers of parameters, latents, operations and activations of an experiment before it runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    options.add_experiment(parser, "lagem describe [-h] [--json]")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the description of the experiment."""
    from lagem.training.command_line import check_experiment

    check_experiment(args.config, args.settings)
    from lagem.training.description import describe_experiment, print_description

    description = describe_experiment(args.config, args.settings)
    if args.json:
        print(json.dumps(description, indent=2))
    else:
        print_description(description)
