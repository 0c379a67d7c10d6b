"""The lock of a run folder, which lets only one fit at a time use the folder."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lagem.storage.parts import locked
from lagem.training.stopping import was_requeued

# How long the loading processes of a killed fit may take to exit and free its lock. On Linux, they exit at once.
SECONDS_TO_DIE = 10.0
# How long SLURM may take to kill the processes of a requeued job's previous start: twice its default KillWait.
SECONDS_TO_BE_KILLED = 60.0


@contextmanager
def only_fit_in(root: Path, patience: float | None = None) -> Iterator[None]:
    """Hold the lock of a run folder during the `with` block.

    Args:
        root: Run folder, created if it is missing.
        patience: Seconds to wait for another fit to exit; None for the longest time that a killed fit takes to exit.

    Raises:
        ValueError: If another fit still holds the lock after this time; the message is one line.
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
