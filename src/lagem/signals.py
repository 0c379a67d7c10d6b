"""Signals that ask a training to stop; they stay pending until it checks for them.

SIGUSR1 asks it to save and to be requeued, SIGTERM to save and stop. `lagem fit` blocks both before it does anything
else. So they neither kill it nor get lost while libraries are imported or a collective call waits. No code runs inside
a signal handler. Schedulers signal every process of a job; processes that the training starts (loading processes, the
service of W&B) inherit the block.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

REQUEUE, STOP = signal.SIGUSR1, signal.SIGTERM


def block_signals() -> None:
    """Keep both signals pending until this process exits."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {REQUEUE, STOP})


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Keep both signals pending inside the `with`; at its end, drop those that nobody has checked for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {REQUEUE, STOP})
    try:
        yield
    finally:
        while pending_signals():
            signal.sigwait(pending_signals())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pending_signals() -> set[signal.Signals]:
    """Which of the two signals are pending in this process."""
    return {REQUEUE, STOP} & {signal.Signals(number) for number in signal.sigpending()}


def obey_only_parent(_: int = 0) -> None:
    """Let only the parent process end this loading process by SIGTERM; a `worker_init_fn` of a DataLoader.

    Otherwise a SIGTERM to a whole job would end the loading before the training has saved.
    """
    block_signals()
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        threading.Thread(target=_exit_when_parent_says, daemon=True).start()


def _exit_when_parent_says() -> None:
    while signal.sigwaitinfo({STOP}).si_pid != os.getppid():
        pass
    os._exit(0)
