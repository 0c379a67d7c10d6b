"""The `lagem` command.

LightningCLI runs fit, validate, test and predict. Every other verb is called a tool; a module of `lagem.commands` runs
it.
"""

import argparse
import importlib
import os
import pkgutil
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lagem.configuration.tool_parser import ToolParser
from lagem.signals import (
    block_signals,
    end_with_starter,
    signals_blocked,
    stop_behind,
    stop_message,
    stop_on_signals,
    stops_no_more,
)
from lagem.storage.failures import failure_line
from lagem.storage.names import printable

if TYPE_CHECKING:
    from lagem.training.cli import TrainingCLI

TRAINING_VERBS = {
    "fit": "train a model from an experiment file",
    "validate": "evaluate a model on the validation set",
    "test": "evaluate a model on the test set",
    "predict": "write reconstructions of the validation set, or samples of a stage given its coarser latents",
}
# Lightning's options for files, which the shell completes without importing Lightning.
TRAINING_OPTIONS = {"--config": "an experiment file", "--ckpt_path": "a checkpoint to resume"}
OUTPUT_CLOSED = 128 + signal.SIGPIPE
COMPLETING = "_ARGCOMPLETE"  # a variable that argcomplete's shell functions set

LONGEST_MESSAGE = 2000  # characters


def command() -> None:
    """Run the `lagem` command with the arguments of this process.

    A fit keeps signals blocked until the process exits. Otherwise, a signal after the end of training would kill the
    process, and a finished job would count as failed.
    """
    end_with_starter()
    make_streams_usable()
    is_fit = sys.argv[1:2] == ["fit"]
    if is_fit:
        block_signals()
    else:
        stop_on_signals()
    threading.excepthook = _report_in_thread
    try:
        main()
    finally:
        if not is_fit:
            stops_no_more()
        flush_output()


def main(argv: list[str] | None = None) -> "TrainingCLI | None":
    """Run a command line.

    If the user has made a mistake, one line is printed, and the exit code is 2. If a signal stops the command, one line
    is printed, and the exit code is 128 plus the number of the signal.

    Args:
        argv: Arguments without the program's name; None for `sys.argv[1:]`.

    Returns:
        The CLI with its trainer, model and data, if the verb is one of `TRAINING_VERBS`; None for any other verb.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        if COMPLETING in os.environ:
            complete()
        if words and words[0] in TRAINING_VERBS:
            with signals_blocked() if words[0] == "fit" else nullcontext():
                from lagem.lightning_private.imports import cheap_imports
                from lagem.training.command_line import check_command_line

                check_command_line(words)
                is_imported = "lagem.training.cli" in sys.modules
                with nullcontext() if is_imported else cheap_imports():
                    from lagem.training.cli import run_training

                return run_training(argv)
        tool, arguments = parse_tool(words)
        tool(arguments)
        return None
    except BaseException as error:
        if (stop := stop_behind(error)) is not None:
            line, code = stop_message(stop)
            print_or_discard(f"lagem: {line}", sys.stderr)
            raise SystemExit(code) from None
        if _is_of_unread_output(error):
            raise SystemExit(OUTPUT_CLOSED) from None
        if not isinstance(error, Exception):
            raise
        message = _one_line(error, training=bool(words) and words[0] in TRAINING_VERBS)
        if message is None or os.environ.get("LAGEM_TRACEBACK"):
            raise
        print(f"lagem: error: {printable(message, LONGEST_MESSAGE)}", file=sys.stderr)
        raise SystemExit(2) from None


def _one_line(error: Exception, *, training: bool) -> str | None:
    """Return a one-line message if memory ran out or the user made a mistake; None if the error is a bug of lagem.

    An error of any type may mean that memory ran out or that a size is too large, which is not a bug.
    """
    if isinstance(error, FileExistsError):
        return f"{error.filename}: already exists; choose a new folder."
    if isinstance(error, OSError):
        return failure_line(error)
    if isinstance(error, ImportError):
        return None  # the traceback names the package, such as torch, that cannot be imported
    from lagem.device import out_of_memory_message

    if (message := out_of_memory_message(error, training=training)) is not None:
        return message
    return " ".join(str(error).split()) if isinstance(error, ValueError) else None


def make_streams_usable() -> None:
    """Replace closed standard streams, and let the others print `?` for characters that their encoding lacks.

    If a closed stream were not replaced, the next file to be opened would get its file descriptor, and what is printed
    would be written into that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            setattr(sys, name, os.fdopen(number, mode))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def discard(stream: TextIO) -> None:
    """Discard from now on what is printed to a stream that cannot be written to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_or_discard(line: str, stream: TextIO) -> None:
    """Print a line; if that fails, as when the reader of a pipe has ended, discard it and all later ones."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        discard(stream)


def flush_output() -> None:
    """Flush the standard output, and exit if that fails.

    If the reader of the output has ended, the exit code is that of SIGPIPE. For any other failure, such as a full disk,
    one line is printed, and the exit code is 2.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)  # Python flushes once more when it exits
        if isinstance(error, BrokenPipeError):
            raise SystemExit(OUTPUT_CLOSED) from None
        line = failure_line(OSError(error.errno, error.strerror, "standard output"))
        print(f"lagem: error: {line}", file=sys.stderr)
        raise SystemExit(2) from None


def _is_of_unread_output(error: BaseException) -> bool:
    """Return whether an error means that the program that reads the standard output has ended.

    A BrokenPipeError can also mean that another connection broke.
    """
    if isinstance(error, BrokenPipeError):
        output = select.poll()
        output.register(1, 0)
        return any(event & select.POLLERR for _, event in output.poll(0))
    return isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)  # rich exits by itself


def _report_in_thread(failure: threading.ExceptHookArgs) -> None:
    """Print the traceback of an error in a thread. An OSError is not printed; the thread's starter handles it."""
    if not isinstance(failure.exc_value, OSError):
        threading.__excepthook__(failure)


def tool_modules() -> dict[str, str]:
    """Return the name of each tool's module, by verb. The module's name ends in `_` if the verb is a Python keyword."""
    from lagem import commands

    found = pkgutil.walk_packages(commands.__path__, "lagem.commands.")
    shared = ("lagem.commands.checks", "lagem.commands.options")
    names = [module.name for module in found if not module.ispkg and module.name not in shared]
    return {name.rpartition(".")[2].rstrip("_").replace("_", "-"): name for name in names}


def parse_tool(argv: list[str]) -> tuple[Callable[[argparse.Namespace], None], argparse.Namespace]:
    """Parse the command line of a tool, and raise SystemExit if it is not valid.

    Raises:
        ValueError: If an option of `lagem fit` is before the experiment: its value would be taken for the experiment.

    Returns:
        The function that runs the tool, and the parsed arguments. If the tool accepts options of `lagem fit`, they are
        in the list `settings`.
    """
    parser, run = tool_parser(next((word for word in argv if not word.startswith("-")), None))
    arguments, settings = parser.parse_known_args(argv)
    if settings and "settings" not in arguments:
        parser.prog = f"lagem {arguments.verb}"  # the message refers to the help of the tool
        parser.error(f"unrecognized arguments: {' '.join(settings)}")
    if settings:
        before = argv[: next(i for i, word in enumerate(argv) if Path(word) == arguments.config)]
        if early := [word for word in before if word in settings and word[0] == "-" and "=" not in word]:
            raise ValueError(f"{early[0]}: name the experiment first, without --config, then options of `lagem fit`.")
        arguments.settings = settings
    if run is None:  # newer Pythons parse `lagem -- fit`
        parser.error(f"{arguments.verb} is not the first word; write it directly after lagem")
    return run, arguments


def tool_parser(asked: str | None) -> tuple[ToolParser, Callable[[argparse.Namespace], None] | None]:
    """Return a parser of all verbs, and the function that runs the tool `asked`.

    Args:
        asked: The verb that the user typed, or None if there is no verb. If the verb is a tool, the parser gets the
            arguments of this tool, but only a summary of every other tool. Otherwise, None is returned in place of
            the function.
    """
    from lagem import __version__

    parser = ToolParser(
        prog="lagem", description="Train and use LaGeM: hierarchical VecSet autoencoders for 3D shapes."
    )
    parser.add_argument("--version", action="version", version=f"lagem {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in TRAINING_VERBS.items():
        training = verbs.add_parser(name, help=summary)
        for option, text in TRAINING_OPTIONS.items():
            training.add_argument(option, help=text)
    run = None
    for verb, module_name in sorted(tool_modules().items()):
        command = importlib.import_module(module_name)
        tool = verbs.add_parser(verb, help=command.SUMMARY, description=command.SUMMARY)
        if verb == asked:
            command.add_arguments(tool)
            run = command.run
    return parser, run


def complete() -> None:
    """Print the completions of the word that the user is typing, and exit.

    The shell passes the command line in argcomplete's environment variables.
    The keys of experiments are not completed, because only Lightning knows them.
    """
    import argcomplete

    verbs = {*TRAINING_VERBS, *tool_modules()}
    parser, _ = tool_parser(next((word for word in os.environ["COMP_LINE"].split()[1:] if word in verbs), None))
    argcomplete.autocomplete(parser)
