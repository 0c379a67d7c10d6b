"""`lagem completion`: complete lagem's command line in a shell."""

import argparse

SUMMARY = "print a script with which bash or zsh completes verbs, options, names of weights and files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's arguments."""
    text = (
        'shell to print the script for; to load it, put the line `eval "$(lagem completion bash)"` into ~/.bashrc, or, '
        "with zsh, into ~/.zshrc after compinit"
    )
    parser.add_argument("shell", choices=["bash", "zsh"], help=text)


def run(args: argparse.Namespace) -> None:
    """Print the completion script of the given shell."""
    import argcomplete

    print(argcomplete.shellcode(["lagem"], shell=args.shell))
