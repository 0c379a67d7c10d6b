"""One fit at a time in a run folder."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lagem.storage.locks import locked
from lagem.training.leaving import was_requeued

SECONDS_TO_DIE = 10.0  # of a killed fit's loading processes, which share its lock and look for it every 5 seconds
SECONDS_TO_BE_KILLED = 60.0  # of a requeued job's former processes: twice SLURM's default KillWait


@contextmanager
def only_fit_in(root: Path, patience: float | None = None) -> Iterator[None]:
    """Hold a run folder; ValueError in one line where another fit still does when patience ends.

    Args:
        root: Run folder, made where it is missing.
        patience: Seconds to wait for one that is on its way out; by default what that takes at most.
    """
    if patience is None:
        patience = SECONDS_TO_BE_KILLED if was_requeued() else SECONDS_TO_DIE
    root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(root, "lagem fit"))
                break
            except ValueError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.2)
        yield
