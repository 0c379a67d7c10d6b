"""Long jobs report their rate and the time left, as lines if the output is a file.

tests/training/test_terminal.py runs `lagem fit` on a terminal.
"""

import time

import pytest
from rich.progress import Task, TaskID

from deadlines import HANG
from lagem.progress import LongProgress, RateColumn, TimeLeftColumn, long_progress


def task(*, completed: float, seconds: float, first: int = 0, total: int = 100, **fields: float) -> Task:
    made = Task(TaskID(0), "work", total, completed, lambda: seconds, fields={"first": first, **fields})
    made.start_time = 0
    return made


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        (task(completed=50, seconds=10), "5.00/s"),
        (task(completed=50, seconds=10, first=40), "1.00/s"),
        (task(completed=50, seconds=10, paused=5.0), "10.00/s"),
        (task(completed=3, seconds=60), "3.00/min"),
        (task(completed=0, seconds=0), "0.00/s"),
    ],
)
def test_the_rate_counts_what_was_done_since_the_start(given, rate):
    assert str(RateColumn().render(given)) == rate


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (task(completed=50, seconds=10), "0:00:10"),
        (task(completed=50, seconds=10, first=40), "0:00:50"),
        (task(completed=40, seconds=10, first=40), "-:--:--"),
        (task(completed=100, seconds=10, first=100), "0:00:00"),
    ],
)
def test_the_time_left_is_that_of_the_remaining_items(given, left):
    assert str(TimeLeftColumn().render(given)) == left


def test_a_file_gets_lines_while_the_work_lasts(capsys):
    columns = long_progress("{task.fields[refused]} refused").columns
    printed = ""
    with LongProgress(*columns, seconds_between_lines=0.01) as progress:
        work = progress.add_task("work", total=3, refused=0)
        progress.update(work, advance=1, refused=2)
        deadline = time.monotonic() + HANG
        while printed.count("\n") < 2:
            assert time.monotonic() < deadline
            printed += capsys.readouterr().out
            time.sleep(0.001)
    assert all(line.startswith("work 1/3 ") and " 2 refused " in line for line in printed.splitlines())


def test_a_file_gets_the_count_of_a_tracked_sequence_while_it_lasts_and_at_the_end(capsys):
    columns = long_progress().columns
    printed = ""
    with LongProgress(*columns, seconds_between_lines=0.01) as progress:
        for done in progress.track(range(3), description="work"):
            deadline = time.monotonic() + HANG
            while f"work {done}/3 " not in printed:
                assert time.monotonic() < deadline
                printed += capsys.readouterr().out
                time.sleep(0.001)
    assert capsys.readouterr().out.splitlines()[-1].startswith("work 3/3 ")


def test_a_file_gets_one_line_for_work_that_is_done_at_once(capsys):
    with long_progress() as progress:
        for _ in progress.track(range(3), description="work"):
            pass
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("work 3/3 ")
