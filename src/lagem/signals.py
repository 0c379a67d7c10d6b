"""Signals that ask a training to leave: they wait until the training looks.

SIGUSR1 asks it to save and to be requeued, SIGTERM to save and to stop. Both are blocked from the first moment of
`lagem fit` on, so they are neither fatal nor lost while libraries are imported or a collective call waits, and no
code runs inside a handler. Schedulers signal every process of a job; those that the training starts (loading
processes, the service of W&B) inherit the block.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

REQUEUE, STOP = signal.SIGUSR1, signal.SIGTERM


def hold_back() -> None:
    """Let both signals wait until this process is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {REQUEUE, STOP})


@contextmanager
def held_back() -> Iterator[None]:
    """Let both signals wait; those that came and were not asked for are dropped at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {REQUEUE, STOP})
    try:
        yield
    finally:
        while waiting():
            signal.sigwait(waiting())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def waiting() -> set[signal.Signals]:
    """Those of the two that this process was sent."""
    return {REQUEUE, STOP} & {signal.Signals(number) for number in signal.sigpending()}


def obey_only_parent(_: int = 0) -> None:
    """In a loading process, to be given as `worker_init_fn`: SIGTERM ends it only where its parent sends it.

    Else a SIGTERM to a whole job would end the loading before the training has saved.
    """
    hold_back()
    if hasattr(signal, "sigwaitinfo"):  # macOS has none
        threading.Thread(target=_end_on_word_of_parent, daemon=True).start()


def _end_on_word_of_parent() -> None:
    while signal.sigwaitinfo({STOP}).si_pid != os.getppid():
        pass
    os._exit(0)
