"""Make one try of the fuzzer: damage valid files of a format at random, let a function read them, judge the outcome."""

import contextlib
import io
import os
import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.random import Generator

from containers import MARKER, in_glb, in_safetensors, in_zip, unchecked
from damage import CANARY, Files, Link, chosen, in_bytes, in_json, in_text
from lagem import cli
from lagem.sources.reading import Reader

LONGEST_LINE = 2100  # characters of an error, which may quote a file
PARSE_TOOL = cli.parse_tool
Door = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Format:
    """A format and everything that reads it.

    name: Name of the format in the table of results.
    sound: Draws a set of undamaged files.
    doors: The functions that read the files, by name. Each takes the folder of the files, and raises the errors that
        the command line would report. If what it has read is wrong, it raises AssertionError.
    weight: How often the format is tried, compared with the others.
    repair: Makes damaged files consistent again, for example their checksums.
    damage: Returns the damaged content of a file. By default, the ending of its name decides on the kind of damage.
    targets: Regular expression that matches the names of the files to damage.
    """

    name: str
    sound: Callable[[Generator], Files]
    doors: dict[str, Door]
    weight: float = 1.0
    repair: Callable[[Files, Generator], Files] = unchecked
    damage: Callable[[str, bytes, Generator, bytes], bytes] | None = None
    targets: str = ".*"


@dataclass(frozen=True, eq=False)
class Try:
    """One try: damaged files, and the function that reads them.

    format: Format of the files.
    door: Name of the function in `format.doors`.
    make: Makes the files, when they are first needed.
    """

    format: Format
    door: str
    make: Callable[[], Files]

    @cached_property
    def files(self) -> Files:
        return self.make()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a try. Its kind is `read`, `refused`, or a kind of finding; `text` is the error message."""

    kind: str
    text: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether the reader has a defect: the files were neither read nor refused with one line."""
        return self.kind not in ("read", "refused")


def make_try(formats: list[Format], seed: int, number: int) -> Try:
    """Return a try; seed and number determine its format, its door (the reading function) and its damage."""
    rng = np.random.default_rng([seed, number])
    weights = np.array([each.weight for each in formats])
    format = formats[int(rng.choice(len(formats), p=weights / weights.sum()))]
    return Try(format, chosen(sorted(format.doors), rng), lambda: damaged(format, rng))


def damaged(format: Format, rng: Generator) -> Files:
    """Damage valid files of a format by one to three random changes, usually all in one file, and return the files.

    In 2 of 100 cases, a file is missing; in 2 of 100, a link replaces a file or a folder.
    """
    files, others = format.sound(rng), format.sound(rng)
    names = [name for name in files if re.fullmatch(format.targets, name)]
    damage = format.damage or in_file
    name = chosen(names, rng)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        other = chosen(list(others.values()), rng)
        try:
            content = damage(name, files[name], rng, other)
        except Exception:  # earlier damage has destroyed the structure that this damage needs
            content = in_bytes(files[name], rng, other)
        files = files | {name: content}
        if rng.random() < 0.1:
            name = chosen(names, rng)
    if len(files) > 1 and rng.random() < 0.02:
        files.pop(chosen(list(files), rng))
    files = format.repair(files, rng)
    return linked(files, rng) if rng.random() < 0.02 else files


def linked(files: Files, rng: Generator) -> Files:
    """Return the files, with one file or folder replaced by a link that leads out of the folder of the try.

    A folder at the top level is not replaced, because users name it themselves.
    """
    parts = chosen(list(files), rng).split("/")
    depth = int(rng.integers(min(2, len(parts)), len(parts) + 1))
    target = CANARY if depth == len(parts) else os.path.dirname(CANARY)
    name = "/".join(parts[:depth])
    others = {path: content for path, content in files.items() if path != name and not path.startswith(f"{name}/")}
    return others | {name: Link(("../" * (depth - 1) + target).encode())}


def in_file(name: str, data: bytes, rng: Generator, other: bytes) -> bytes:
    """Damage the content of a file and return it.

    The damage suits the file extension or the content, or it changes arbitrary bytes.
    """
    structured = rng.random() < 0.75
    if structured and name.endswith(".glb"):
        return in_glb(data, rng)
    if structured and name.endswith((".json", ".gltf")):
        return in_json(data, rng)
    if structured and name.endswith(".safetensors") and len(data) > 8:
        return in_safetensors(data, rng, other)
    if structured and data.startswith(b"PK"):
        return in_zip(data, rng, other)
    if b"\0" not in data[:200] and rng.random() < 0.75:
        return in_text(data, rng)
    return in_bytes(data, rng, other)


def attempt(one: Try, folder: Path) -> Outcome:
    """Write the files of a try to `folder`/try, read them, and return the outcome.

    The outcome is a finding if code from the files ran, or if anything in `folder` outside try/ has changed.

    Args:
        one: The try.
        folder: An empty folder.
    """
    place, canary = folder / "try", folder / "try" / CANARY
    for path, content in [(place / name, content) for name, content in one.files.items()] + [(canary, b"alive")]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(content.decode()) if isinstance(content, Link) else path.write_bytes(content)
    found = outcome(one.format.doors[one.door], place)
    if (place / MARKER).exists():
        return Outcome("execution", f"{one.door} ran code from the file\n{found.text}")
    if sorted(os.listdir(folder)) != ["canary", "try"] or os.listdir(canary.parent) != ["keep"]:
        return Outcome("outside", f"{one.door} wrote or removed files outside its folder\n{found.text}")
    if canary.read_bytes() != b"alive":
        return Outcome("outside", f"{one.door} changed a file outside its folder\n{found.text}")
    return found


def outcome(door: Door, folder: Path) -> Outcome:
    """Call a door, a function that reads a folder, as if it were a `lagem` command, and return the outcome."""
    printed, error = io.StringIO(), io.StringIO()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(error),
            contextlib.chdir(folder),
            mock.patch.object(cli, "parse_tool", lambda _: (lambda _: opened(door, folder), None)),
        ):
            cli.main([])
    except SystemExit as stop:
        return judged(stop.code, error.getvalue())
    except (Exception, KeyboardInterrupt):
        return Outcome("traceback", traceback.format_exc())
    return Outcome("read")


def opened(door: Door, folder: Path) -> None:
    """Call a door (a function that reads a folder), which may itself run a `lagem` command.

    Meshes are read in this process, not in a child process, because this process already has narrow limits.
    """
    with mock.patch.object(cli, "parse_tool", PARSE_TOOL), mock.patch.object(Reader, "read", read_here):
        door(folder)


def read_here(_: Reader, function: Callable[..., Any], path: str | Path, **options: Any) -> Any:
    """Replace `Reader.read`: call the function in this process, and return its result."""
    return function(Path(path), **options)


def judged(code: object, text: str) -> Outcome:
    """Return the outcome of a command that exited: `refused` for code 2 with a single error line, else a finding."""
    lines = [line for line in text.splitlines() if line.strip()]
    if code != 2:
        return Outcome("exit", f"exit code {code!r}: {text[-1000:]}")
    if len(lines) != 1 or not lines[0].isprintable() or len(lines[0]) > LONGEST_LINE:
        return Outcome("line", f"not one short line: {text[:2000]!r}")
    if "is out of memory" in text:
        return Outcome("memory", text)
    return Outcome("refused", text)
