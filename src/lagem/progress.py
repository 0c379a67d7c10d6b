"""The progress of long jobs: a bar on a terminal, and a line every minute in a file, a pipe or a notebook.

Both show the number of items done, their total, the rate, and the time spent and left.
"""

import os
import sys
from datetime import timedelta
from shutil import get_terminal_size
from threading import Event, Thread
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

SECONDS_BETWEEN_LINES = 60.0
NARROW = 80  # columns of a terminal; a narrower one gets neither a bar nor the time spent
WIDEST_BAR = 40
UNKNOWN = "-:--:--"


class RateColumn(ProgressColumn):
    """A column that shows the mean rate since the task was added: items per second or, if it is low, per minute.

    Items done before the task was added do not count, nor do the seconds in the task's field `paused`.
    """

    def render(self, task: Task) -> Text:
        """Return the rate of one task as text."""
        seconds = _seconds(task) - task.fields.get("paused", 0)
        rate = (task.completed - task.fields["first"]) / seconds if seconds > 0 else 0
        return Text(f"{60 * rate:.2f}/min" if 0 < rate < 0.1 else f"{rate:.2f}/s")


class TimeLeftColumn(ProgressColumn):
    """A column that shows the time left, if the remaining items are done at the mean rate so far, pauses included."""

    def render(self, task: Task) -> Text:
        """Return the time left of one task as text."""
        done = task.completed - task.fields["first"]
        if not task.remaining:
            return Text("0:00:00" if task.remaining == 0 else UNKNOWN)
        return Text(str(timedelta(seconds=int(_seconds(task) * task.remaining / done))) if done > 0 else UNKNOWN)


class LongProgress(Progress):
    """The progress of the tasks of a long job.

    On a terminal, rich draws a bar. Anywhere else, a line for each unfinished task is printed regularly, and one for
    each task at the end.

    Args:
        columns: The columns of the progress; printed lines show all columns except bars.
        seconds_between_lines: Time between two lines.
    """

    def __init__(self, *columns: ProgressColumn, seconds_between_lines: float = SECONDS_BETWEEN_LINES) -> None:
        on_terminal = is_terminal()
        super().__init__(
            *columns,
            console=Console(force_terminal=on_terminal, force_jupyter=False),  # rich takes a notebook for a terminal
            disable=not on_terminal,
            auto_refresh=on_terminal,  # else `track` counts in a thread that ends before the work, as nothing is drawn
        )
        self._seconds_between_lines = seconds_between_lines
        self._ended = Event()
        self._printer: Thread | None = None

    def add_task(
        self,
        description: str,
        start: bool = True,
        total: float | None = 100.0,
        completed: int = 0,
        visible: bool = True,
        **fields: Any,
    ) -> TaskID:
        """Add a task, as rich does. Its rate does not count the items that are `completed` from the start."""
        return super().add_task(description, start, total, completed, visible, first=completed, **fields)

    def start(self) -> None:
        """Start to draw the bars, or to print lines."""
        super().start()
        if self.disable and self._printer is None:
            self._printer = Thread(target=self._print_regularly, daemon=True)
            self._printer.start()

    def stop(self) -> None:
        """Draw the bars for the last time, or print the last lines."""
        super().stop()
        if self._printer is not None:
            self._ended.set()
            self._printer.join()
            self._printer = None
            self._print([task for task in self.tasks if task.visible])

    def _print_regularly(self) -> None:
        while not self._ended.wait(self._seconds_between_lines):
            visible = [task for task in self.tasks if task.visible]
            self._print([task for task in visible if not task.finished] or visible[-1:])

    def _print(self, tasks: list[Task]) -> None:
        columns = [column for column in self.columns if not isinstance(column, str | BarColumn)]
        for task in tasks:
            print(" ".join(" ".join(str(column(task)) for column in columns).split()), flush=True)


def is_terminal() -> bool:
    """Return whether the standard output is a terminal that can redraw a line."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def long_progress(*words: str) -> LongProgress:
    """Return a progress display for a long job.

    Args:
        words: Templates of more columns, in the syntax of rich, such as `{task.fields[refused]} refused`.
    """
    is_wide = not is_terminal() or get_terminal_size().columns >= NARROW

    def fixed() -> Column:  # only the bar becomes narrower, so that the progress stays in one line
        return Column(no_wrap=True)

    bar = BarColumn(bar_width=None, table_column=Column(max_width=WIDEST_BAR))
    return LongProgress(
        TextColumn("{task.description}"),
        *((bar,) if is_wide else ()),
        MofNCompleteColumn(table_column=fixed()),
        RateColumn(table_column=fixed()),
        *map(TextColumn, words),
        *((TimeElapsedColumn(table_column=fixed()),) if is_wide else ()),
        TextColumn("left"),
        TimeLeftColumn(table_column=fixed()),
    )


def _seconds(task: Task) -> float:
    """Return how long a task took, or has taken so far."""
    return (task.finished_time if task.finished else task.elapsed) or 0
