"""A child process that dies or exceeds its limits costs only its item; all other items get their results."""

import importlib
import os
import signal
import subprocess
import sys
import time

import pytest

from deadlines import HANG
from lagem.sources.child import Died, Limits
from lagem.sources.processes import run_in_processes

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
    results = list(run_in_processes(time.sleep, [0.0, 3600.0, 0.1], workers=1, limits=lambda item: Limits(seconds=3)))
    assert [(item, str(result).partition(";")[0]) for item, result in results] == [
        (0.0, "None"),
        (3600.0, "took longer than 3 s"),
        (0.1, "None"),
    ]


def test_an_item_that_needs_too_much_memory_costs_itself_only():
    limits = Limits(memory=2**28)
    results = list(run_in_processes(bytes, [1, 2**30, 2], workers=1, limits=lambda item: limits))
    assert [str(result) for _, result in results] == ["b'\\x00'", "needed more than 0.2 GiB of memory", "b'\\x00\\x00'"]


SLOW_TO_IMPORT = """
import os, time
if os.getpid() != PARENT:
    time.sleep(3)
def negative(number):
    return -number
"""


def test_what_a_child_takes_to_start_is_not_its_items_time(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(SLOW_TO_IMPORT.replace("PARENT", str(os.getpid())))
    monkeypatch.syspath_prepend(str(tmp_path))
    function = importlib.import_module("slow_to_import").negative
    assert list(run_in_processes(function, [1], workers=1, limits=lambda item: Limits(seconds=2))) == [(1, -1)]


PARENT = """
from lagem.sources.processes import run_in_processes
item = "import time; print('working', flush=True); time.sleep(3600)"
list(run_in_processes(exec, [item], workers=1))
"""


def test_children_of_a_killed_parent_do_not_work_on():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "working\n"
        parent.kill()
        assert parent.communicate(timeout=HANG) == ("", None)  # returns once no process is left that could print


def test_an_exit_is_said_to_be_one():
    assert str(Died(3)) == "the worker process died (exit code 3)"
    assert str(Died(-200)) == "the worker process died (signal 200)"


def test_a_child_that_cannot_start_is_not_the_items_fault(monkeypatch):
    monkeypatch.setattr("lagem.sources.child.PROGRAM", "import no_such_module")
    with pytest.raises(RuntimeError, match="while starting"):
        list(run_in_processes(int, ["1"], workers=1))
