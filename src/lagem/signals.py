"""Signals that ask a process to stop, and child processes that end with their parent.

`lagem fit` blocks the signals before it does anything else, so they stay pending until the training checks for them.
Thus a signal neither kills the training nor gets lost while libraries are imported or a collective call waits, and no
code runs inside a signal handler. SIGUSR1 asks the training to save and to be requeued; SIGTERM and SIGINT ask it to
save and stop. In all other commands of lagem, the first SIGTERM or SIGINT raises `Stopped` in the main thread, and
`kept_on_stop` says what is kept. In any command, a second SIGINT ends the process at once.

Schedulers signal every process of a job, and Ctrl-C signals every process of a terminal. The loading processes of a
training inherit the block, so a signal does not kill them. The service of W&B inherits it too, but unblocks SIGTERM.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

REQUEUE, STOP, INTERRUPT = signal.SIGUSR1, signal.SIGTERM, signal.SIGINT
SENT_TO_ALL = (INTERRUPT, STOP, REQUEUE, signal.SIGUSR2)  # what schedulers and terminals send to every process
PR_SET_PDEATHSIG = 1  # option of Linux's prctl: the signal sent to a process when its parent dies
STARTER = "LAGEM_STARTER"  # variable that holds the id of the process with which a command ends
RETRY = 0.05  # seconds until the next try, if a signal comes when `Stopped` cannot be raised

_received: signal.Signals | None = None
_postponed = 0


class Stopped(KeyboardInterrupt):
    """Raised when a signal asks this process to stop; `except Exception` does not catch it."""

    def __init__(self, signum: signal.Signals) -> None:
        super().__init__(signum.name)
        self.signum = signum


def block_signals() -> None:
    """Block the signals that a training checks for, until this process exits.

    If SIGINT is among them, a thread waits for it: the first SIGINT stays pending for the training, and the second ends
    the process at once. The resource tracker of multiprocessing, which the loading processes of a rank need, starts
    here, because its start unblocks SIGINT and SIGTERM (in Python 3.11 and early releases of 3.12 and 3.13). Signals
    that arrive meanwhile are kept. The tracker ignores these two signals and inherits the block of SIGUSR1. Otherwise,
    SIGUSR1 would kill it, and another tracker would start in the middle of the training.
    """
    from multiprocessing import resource_tracker

    signal.pthread_sigmask(signal.SIG_BLOCK, {REQUEUE})
    arrived: list[int] = []
    caught = _of_a_training() - {REQUEUE}
    handlers = {number: signal.signal(number, lambda number, _: arrived.append(number)) for number in caught}
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for signum in arrived:
        os.kill(os.getpid(), signum)  # now it stays pending
    if INTERRUPT in handlers:
        threading.Thread(target=_exit_at_second_interrupt, daemon=True).start()


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block the signals that a training checks for, inside the `with`.

    At its end, a pending signal raises `Stopped` if this process calls `stop_on_signals`; any other one is discarded.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _of_a_training())
    try:
        yield
    finally:
        while unused := {number for number in pending_signals() if signal.getsignal(number) is not _receive}:
            signal.sigwait(unused)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pending_signals() -> set[signal.Signals]:
    """Return the signals that a training checks for and that are pending in the main thread."""
    return _of_a_training() & {signal.Signals(number) for number in signal.sigpending()}


def stop_on_signals() -> None:
    """From now on, the first SIGTERM or SIGINT raises Stopped in the main thread, and the second ends the process."""
    for number in (STOP, INTERRUPT):
        if (
            signal.getsignal(number) is not signal.SIG_IGN
        ):  # SIGINT is ignored in a command that a script runs in the background
            signal.signal(number, _receive)
    signal.signal(signal.SIGALRM, _stop)


def stop_on_requeue() -> None:
    """From now on, SIGUSR1 stops this process as SIGTERM does, if `stop_on_signals` was called."""
    if signal.getsignal(STOP) is _receive:
        signal.signal(REQUEUE, _receive)


def stops_no_more() -> None:
    """Undo `stop_on_signals` and `stop_on_requeue`; called when the work is done."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (STOP, INTERRUPT, REQUEUE):
        if signal.getsignal(number) is _receive:
            signal.signal(number, signal.SIG_DFL)


def stop_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the exception by which a signal stopped this process; None if no signal did.

    The error may be that exception, or one that a library raised in its place.
    """
    if isinstance(error, KeyboardInterrupt):
        return error
    return None if _received is None else Stopped(_received)


def stop_message(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Return a line that says which signal stopped this process and what is kept, and return the exit code."""
    signum = stop.signum if isinstance(stop, Stopped) else INTERRUPT
    notes: list[str] = getattr(stop, "__notes__", [])
    return f"stopped by {signum.name}: {notes[0] if notes else 'run the same command again.'}", 128 + signum


@contextmanager
def kept_on_stop(kept: Callable[[], str]) -> Iterator[None]:
    """If a signal stops the block, add to the exception a note about what is kept and how to resume.

    If blocks are nested, the note of the inner block is the one that is printed.

    Args:
        kept: Returns the note.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(kept())
        raise


@contextmanager
def stop_postponed() -> Iterator[None]:
    """Postpone signals until the block has ended; processes that the block starts never receive these signals.

    Otherwise, a signal could stop the block after it has started a process and before it has stored the handle. Then
    nothing would end the process.
    """
    global _postponed
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SENT_TO_ALL)  # processes inherit it
    _postponed += 1  # if another thread receives a signal, Python still runs the handler in this one
    try:
        yield
    finally:
        _postponed -= 1
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def first_stop_postponed() -> Iterator[None]:
    """Postpone `Stopped` to the end of the block; a second signal ends this process at once, as always.

    Unlike in `stop_postponed`, processes that the block starts receive signals.
    """
    global _postponed
    _postponed += 1
    try:
        yield
    finally:
        _postponed -= 1
        if _received is not None and signal.setitimer(signal.ITIMER_REAL, 0)[0]:  # `_stop` has set it
            _stop(0, None)


def end_with_parent(parent: int) -> None:
    """Make this process exit as soon as its parent has ended, even if the parent was killed by kill -9.

    Otherwise, the child would continue with work that nobody waits for, in parallel with the run that resumes.

    Args:
        parent: Id of the parent process.
    """
    import ctypes  # imported here, so that the command handles signals as early as possible

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took effect
            os.kill(os.getpid(), signal.SIGKILL)
    else:
        _exit_when_false(lambda: os.getppid() == parent)


def end_with_starter() -> None:
    """Make this process exit with the one that started it, if that process asked for it by the variable `STARTER`."""
    text = os.environ.pop(STARTER, "")  # not for the processes that this one starts
    if not text.isdecimal():
        return
    starter = int(text)
    if os.getppid() == starter:
        end_with_parent(starter)
    elif not _exists(starter):
        os.kill(os.getpid(), signal.SIGKILL)
    else:  # the command that starts Python is a script, which is the parent
        _exit_when_false(lambda: _exists(starter))


def obey_only_parent() -> None:
    """Let a loading process end only with the process that loads, or by a SIGTERM from it.

    Otherwise, a SIGTERM to all processes of a job would end the loading before the training has saved. The process that
    loads is not the parent that the system knows if a server forks the loading processes.
    """
    import multiprocessing

    parent = multiprocessing.parent_process()
    assert parent is not None, "only a child process can end with its parent"
    signal.pthread_sigmask(signal.SIG_BLOCK, _of_a_training())
    threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        threading.Thread(target=_exit_when_told_by, args=(parent.pid,), daemon=True).start()


def _of_a_training() -> set[signal.Signals]:
    """Return the signals that a training checks for, without SIGINT if it is ignored, as in a background job."""
    return {REQUEUE, STOP} if signal.getsignal(INTERRUPT) is signal.SIG_IGN else {REQUEUE, STOP, INTERRUPT}


def _exit_at_second_interrupt() -> None:
    signal.sigwait({INTERRUPT})
    signal.pthread_kill(threading.main_thread().ident, INTERRUPT)  # type: ignore[arg-type]  # it stays pending in the main thread
    signal.sigwait({INTERRUPT})
    os.write(2, b"lagem: stopped by a second SIGINT; --ckpt_path last resumes from the last checkpoint.\n")
    os._exit(128 + INTERRUPT)


def _exit_when_false(condition: Callable[[], bool]) -> None:
    def watch() -> None:
        while condition():
            time.sleep(1)
        os._exit(1)

    with stop_postponed():  # a signal that is not blocked in this thread would not stay pending for a training
        threading.Thread(target=watch, daemon=True).start()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _exit_after(process: "BaseProcess") -> None:
    process.join()
    os._exit(1)


def _exit_when_told_by(pid: int) -> None:
    while signal.sigwaitinfo({STOP}).si_pid != pid:
        pass
    os._exit(0)


def _receive(number: int, frame: FrameType | None) -> None:
    """Handle the first signal that asks this process to stop; the next one will end the process."""
    global _received
    _received = signal.Signals(number)
    for each in (STOP, INTERRUPT, REQUEUE):
        if signal.getsignal(each) is _receive:
            signal.signal(each, signal.SIG_DFL)
    _stop(number, frame)


def _stop(_: int, frame: FrameType | None) -> None:
    """Raise Stopped, or set a timer to try again if stops are postponed or an import could swallow the exception."""
    if _postponed or _imports(frame):
        signal.setitimer(signal.ITIMER_REAL, RETRY)
    else:
        assert _received is not None, "only a signal to stop sets the timer"
        raise Stopped(_received)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
