"""Reading a damaged file ends in a result or in one error line; `make fuzz` tries many more files."""

import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import worker as workers
from catalogue import all_formats
from containers import pickled_code
from tries import Door, Format, Outcome, Try, make_try
from worker import Worker

TRIES = 60
SLOW = ("config.json", "bundled weights", "cascade.json", "earlier weights", "experiment")


@pytest.fixture(scope="module")
def formats() -> list[Format]:
    """Return all formats except those that are slow to read."""
    return [each for each in all_formats() if each.name not in SLOW]


@pytest.fixture(scope="module")
def results(formats, tmp_path_factory) -> list[tuple[Try, Outcome]]:
    """Return the tries of seed 0, each with its outcome."""
    made = [make_try(formats, 0, number) for number in range(TRIES)]
    worker = Worker(made.__getitem__, tmp_path_factory.mktemp("scratch"), formats)
    found = [(one, worker.run(number)) for number, one in enumerate(made)]
    worker.stop()
    return found


def test_damaged_files_are_read_or_refused_in_one_line(results):
    findings = [
        f"try {number}, {one.format.name}, {one.door}: {found.kind}\n{found.text}"
        for number, (one, found) in enumerate(results)
        if found.is_finding
    ]
    assert not findings, "\n".join(findings)


def test_damage_has_an_effect_but_is_not_too_great(results):
    counts = Counter(found.kind for _, found in results)
    assert counts["refused"] > TRIES / 10 and counts["read"] > TRIES / 10


def test_a_try_is_the_same_again(formats):
    one, two = make_try(formats, 3, 5), make_try(formats, 3, 5)
    assert (one.format.name, one.door, one.files) == (two.format.name, two.door, two.files)


@pytest.fixture
def outcome_of(tmp_path, monkeypatch) -> Iterator[Callable[[Door], Outcome]]:
    """Yield a function that makes one try with a door (a function that reads files) and returns the outcome.

    The try runs in a worker process with a limit of 3 seconds.
    """
    monkeypatch.setattr(workers, "SECONDS", 3.0)
    started = []

    def run(door: Door) -> Outcome:
        format = Format(name="test", sound=lambda _: {}, doors={"door": door})
        started.append(Worker(lambda _: Try(format, "door", lambda: {"file": b"content"}), tmp_path))
        return started[-1].run(0)

    yield run
    for worker in started:
        worker.stop()


def mistake(folder: Path) -> None:
    raise ValueError(f"{folder / 'file'}: is\ndamaged.")


def delete(folder: Path) -> None:
    try:
        (folder / "../canary/keep").resolve().unlink()
    except Exception:
        pass


def write_far_away(folder: Path) -> None:
    (folder.parents[1] / "new").write_text("")


def allocate(folder: Path) -> None:
    bytearray(3 * 2**30)


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        (lambda folder: None, "read"),
        (mistake, "refused"),
        (lambda folder: 1 / 0, "traceback"),
        (lambda folder: sys.exit(3), "exit"),
        (lambda folder: [print("two\nlines", file=sys.stderr), mistake(folder)], "line"),
        (delete, "outside"),
        (lambda folder: (folder / "../canary/new").write_text(""), "outside"),
        (write_far_away, "outside"),
        (lambda folder: os.mkdir("executed"), "execution"),
        (lambda folder: subprocess.run(["true"], check=True), "outside"),
        (allocate, "memory"),
        (lambda folder: time.sleep(60), "hang"),
        (lambda folder: os.abort(), "crash"),
    ],
)
def test_an_outcome_is_named(door, kind, outcome_of):
    assert outcome_of(door).kind == kind


def test_code_in_a_pickle_is_found(outcome_of):
    code = pickled_code(np.random.default_rng(0))
    assert outcome_of(lambda folder: pickle.loads(code)).kind == "execution"


def test_sound_files_are_read(formats, tmp_path):
    rng = np.random.default_rng(0)
    made = [Try(each, door, lambda sound=each.sound: sound(rng)) for each in formats for door in sorted(each.doors)]
    worker = Worker(made.__getitem__, tmp_path, formats)
    found = {(one.format.name, one.door): worker.run(number) for number, one in enumerate(made)}
    worker.stop()
    other = {names: outcome.text for names, outcome in found.items() if outcome.kind != "read"}
    assert list(other) == [("ply", "load_points")], other  # `load_points` refuses a mesh
