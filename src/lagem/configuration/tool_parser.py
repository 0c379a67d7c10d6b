"""The parser of all tools' command lines."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from lagem.configuration.bounds import MOST_INTEGER, MOST_NUMBER


class ToolParser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, and refuses absurdly large numbers.

    If a required argument is missing, the line also names the unknown options, since one of them may be a misspelling
    of the missing one.
    """

    _words: Sequence[str] = ()

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register("type", int, _integer)
        self.register("type", float, _number)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse the arguments as argparse does, after storing them for `error`."""
        self._words = args or ()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the message in one line, and exit with code 2."""
        known = self._option_string_actions
        options = [word.split("=")[0] for word in self._words if word.startswith("--") and word != "--"]
        unknown = [word for word in options if not any(name.startswith(word) for name in known)]
        if unknown and "required" in message:
            message = f"unrecognized arguments: {' '.join(unknown)}; {message}"
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > MOST_INTEGER:
        raise argparse.ArgumentTypeError(f"{text:.40} is not from {-MOST_INTEGER:,} to {MOST_INTEGER:,}")
    return number


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) <= MOST_NUMBER:
        raise argparse.ArgumentTypeError(f"{text:.40} is not from {-MOST_NUMBER:g} to {MOST_NUMBER:g}")
    return number
