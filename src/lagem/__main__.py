"""`python -m lagem` is the `lagem` command."""

from lagem.cli import command

if __name__ == "__main__":
    command()
