"""Functions that fail in the ways in which a reader of meshes can fail; child processes import them from here."""

import signal
import time
from pathlib import Path

from lagem.geometry.files.loading import load_surface


def crash(path: Path) -> None:
    signal.raise_signal(signal.SIGSEGV)


def hang(path: Path) -> None:
    time.sleep(3600)


def grow(path: Path) -> None:
    bytearray(2**32)


def crash_on_bad(path: Path, **options: str) -> object:
    return crash(path) if path.stem == "bad" else load_surface(path, **options)
