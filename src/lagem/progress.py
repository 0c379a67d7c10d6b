"""The progress bar of long jobs: items done and in total, rate, time elapsed and time left."""

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
    """Items per second since the start."""

    def render(self, task: Task) -> Text:
        """The rate of one task."""
        return Text(f"{task.completed / task.elapsed if task.elapsed else 0:.2f}/s")


def long_progress(*words: str) -> Progress:
    """A progress bar with rate and time left.

    Args:
        words: More columns, as rich's templates with the fields of a task: `{task.fields[refused]} refused`.
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
