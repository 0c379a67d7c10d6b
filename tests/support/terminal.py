"""Run commands of `lagem` on a pseudo-terminal, and read what they print there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:;[0-9]+)*m")


def on_terminal(arguments: list[str], *, columns: int, **variables: str) -> str:
    """Run `lagem` on a terminal of a given width, and return what it prints there; it must succeed.

    Args:
        arguments: The verb and its arguments.
        columns: Width of the terminal.
        variables: Environment variables.
    """
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    searched = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**inherited, "TERM": "xterm-256color", "PYTHONPATH": searched, "OMP_NUM_THREADS": "1", **variables}
    process = subprocess.Popen(
        [sys.executable, "-m", "lagem", *arguments], env=environment, stdin=end, stdout=end, stderr=end
    )
    os.close(end)
    printed = b""
    try:
        while part := os.read(terminal, 65536):
            printed += part
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    text = printed.decode()
    assert process.wait() == 0, text[-3000:]
    return text


def drawn_lines(text: str) -> list[str]:
    """Return all printed lines in order, without control sequences; each redraw of a line is a separate entry."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", CONTROL.sub("", text)) if line.strip()]
