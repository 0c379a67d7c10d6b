"""Small commands that run under `lagem.cli.command`, import no heavy library and take a tenth of a second."""

import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = """
import contextlib, os, signal, sys, time
from lagem import cli, signals

def ready():
    print("ready", flush=True)

def work(arguments):
    {work}

cli.parse_tool = lambda words: (work, None)
cli.command()
"""


def launch(work: str, **settings: Any) -> subprocess.Popen:
    """Start a command that runs `work`: lines of Python, indented by four spaces except for the first."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(work=work)], text=True, start_new_session=True, **streams
    )


def start(work: str, **settings: Any) -> subprocess.Popen:
    """Start a command that runs `work`, and return its process once it has printed that it is ready."""
    process = launch(work, **settings)
    assert process.stdout.readline(), process.communicate()[1]
    return process


def caught(process: subprocess.Popen) -> set[int]:
    """Return the numbers of the signals for which a process has handlers (Linux); the first stop removes them."""
    (line,) = [text for text in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "SigCgt" in text]
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1}
