"""Preparation in the tests' own process: spawning child processes takes longer than preparing a few boxes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lagem.preparation import pipeline
from lagem.preparation.settings import Settings
from lagem.sources.child import Limits


def run_in_this_process(
    function: Callable[[Any], Any], items: Iterable[Any], *, workers: int, limits: Callable[[Any], Limits]
) -> Iterator[tuple[Any, Any]]:
    """Yield what `run_in_processes` yields if no item is lost, but run the function in this process."""
    return ((item, function(item)) for item in items)


def prepare(sources: Sequence[Path], root: Path, settings: Settings) -> None:
    """Prepare meshes in this process; the bytes are those that child processes would write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run_in_processes", run_in_this_process)
        pipeline.prepare(sources, root, settings)
