"""The progress bar of long jobs, with the number of items done, their total, the rate, and the time spent and left."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """A column that shows the number of items per second since the start."""

    def render(self, task: Task) -> Text:
        """Return the rate of one task as text."""
        return Text(f"{task.completed / task.elapsed if task.elapsed else 0:.2f}/s")


def long_progress(*words: str) -> Progress:
    """Make the progress bar of a long job.

    Args:
        words: Templates of more columns, in the syntax of rich, such as `{task.fields[refused]} refused`.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        *map(TextColumn, words),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
