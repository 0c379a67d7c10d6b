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
    """What `run_in_processes` gives if no item is lost."""
    return ((item, function(item)) for item in items)


def prepare(sources: Sequence[Path], root: Path, settings: Settings) -> None:
    """Prepare meshes, to the same bytes as child processes do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "run_in_processes", run_in_this_process)
        pipeline.prepare(sources, root, settings)
