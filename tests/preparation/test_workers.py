"""Child processes: results, deaths, failures."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lagem.preparation.workers import Died, run_in_processes

HARMLESS, DEADLY = int(signal.SIGCONT), int(signal.SIGKILL)


def test_a_child_that_is_killed_costs_its_item_only():
    items = [HARMLESS, DEADLY, HARMLESS, int(signal.SIGSEGV), HARMLESS]
    results = list(run_in_processes(signal.raise_signal, items, workers=1))
    assert [item for item, _ in results] == items
    assert [str(result) for _, result in results if result is not None] == [
        "the worker process died (signal SIGKILL)",
        "the worker process died (signal SIGSEGV)",
    ]


def test_what_the_function_raises_ends_the_batch():
    with pytest.raises(ValueError, match="invalid literal"):
        list(run_in_processes(int, ["1", "x"], workers=1))


def test_an_item_that_takes_too_long_is_given_up_and_the_others_go_on():
    results = list(run_in_processes(time.sleep, [0.0, 60.0, 0.1], workers=1, time_limit=2))
    assert [(item, str(result).partition(";")[0]) for item, result in results] == [
        (0.0, "None"),
        (60.0, "took longer than 2 s"),
        (0.1, "None"),
    ]


def test_what_a_child_takes_to_start_is_not_its_items_time():
    """Spawning Python takes longer than a tenth of a second."""
    start = time.monotonic()
    assert list(run_in_processes(abs, [-1], workers=1, time_limit=0.1)) == [(-1, 1)]
    assert time.monotonic() - start > 0.1


PARENT = """
import sys, time
from lagem.preparation.workers import run_in_processes
if __name__ == "__main__":
    list(run_in_processes(time.sleep, [60.0], workers=1))
"""


def test_children_of_a_killed_parent_do_not_work_on():
    parent = subprocess.Popen([sys.executable, "-c", PARENT])

    def children() -> list[str]:
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True)
        return listed.stdout.split()

    deadline = time.monotonic() + 30
    while not (before := children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(3)  # until it sleeps
    before = children()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert before and not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_an_exit_is_said_to_be_one():
    assert str(Died(3)) == "the worker process died (exit code 3)"
    assert str(Died(-200)) == "the worker process died (signal 200)"


def test_a_child_that_cannot_start_is_not_the_items_fault(monkeypatch):
    monkeypatch.setattr("lagem.preparation.workers.serve", print)  # ends at once, as a child that cannot import does
    with pytest.raises(RuntimeError, match="while starting"):
        list(run_in_processes(int, ["1"], workers=1))
