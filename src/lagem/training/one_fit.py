"""A lock that lets only one fit at a time use a run folder."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lagem.storage.parts import locked
from lagem.training.stopping import was_requeued

SECONDS_TO_DIE = 10.0  # of the loading processes of a killed fit, which hold its lock: at once only on Linux
SECONDS_TO_BE_KILLED = 60.0  # of the processes of a requeued job's last start: twice SLURM's default KillWait


@contextmanager
def only_fit_in(root: Path, patience: float | None = None) -> Iterator[None]:
    """Hold the lock of a run folder.

    Args:
        root: Run folder, created if it is missing.
        patience: Seconds to wait for a fit that is exiting; by default the longest that this takes.

    Raises:
        ValueError: If another fit still holds the lock after that time; the message is one line.
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
