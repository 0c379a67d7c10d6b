"""A command stopped by a signal prints one line, exits with the code of the signal, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deadlines import HANG
from lagem.signals import STARTER
from small_command import caught, launch, start

WAIT = "ready(); time.sleep(3600)"
ROOT = Path(__file__).resolve().parents[1]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which lists the processes in /proc")
BOTH = pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=lambda signum: signum.name)


def stopped(work: str, *signals: signal.Signals) -> tuple[int, str]:
    """Send signals to a command when it is ready, and return its exit code and error output."""
    process = start(work)
    for signum in signals:
        process.send_signal(signum)
        time.sleep(0.1 if len(signals) > 1 else 0)
    _, errors = process.communicate(timeout=HANG)
    return process.returncode, errors


@BOTH
def test_a_stopped_command_says_what_is_kept_in_one_line(signum):
    work = f"with signals.kept_on_stop(lambda: '3 of 4 are kept.'):\n        {WAIT}"
    assert stopped(work, signum) == (128 + signum, f"lagem: stopped by {signum.name}: 3 of 4 are kept.\n")


def test_the_innermost_block_says_what_is_kept():
    work = f"with signals.kept_on_stop(lambda: 'outer'), signals.kept_on_stop(lambda: 'inner'):\n        {WAIT}"
    assert stopped(work, signal.SIGTERM)[1] == "lagem: stopped by SIGTERM: inner\n"


def test_a_command_that_ends_with_its_starter_does_not_ask_that_of_its_own_children():
    variables = {**os.environ, STARTER: str(os.getpid())}
    process = launch(f"print(os.environ.get({STARTER!r}))", env=variables)
    assert process.communicate(timeout=HANG)[0] == "None\n"


def ended_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_command_whose_starter_has_ended_is_killed():
    process = launch("print('runs')", env={**os.environ, STARTER: str(ended_process())})
    assert process.communicate(timeout=HANG)[0] == "" and process.returncode == -signal.SIGKILL


def test_a_command_ends_with_its_starter_if_a_script_starts_python(tmp_path):
    """The parent of the command is the script, which waits for it."""
    starter = subprocess.Popen(["sleep", "3600"])
    process = start(WAIT, env={**os.environ, STARTER: str(starter.pid)})
    assert process.poll() is None
    starter.kill()
    starter.wait()
    process.communicate(timeout=HANG)
    assert process.returncode == 1


def test_a_starter_that_is_no_number_is_none():
    process = launch("print('runs')", env={**os.environ, STARTER: "x"})
    assert process.communicate(timeout=HANG) == ("runs\n", "")


def test_elsewhere_than_on_linux_a_command_ends_with_its_parent_too():
    process = launch(f"sys.platform = 'darwin'; signals.end_with_parent({ended_process()}); {WAIT}")
    process.communicate(timeout=HANG)
    assert process.returncode == 1


@BOTH
def test_elsewhere_than_on_linux_signals_stay_pending_for_a_training_too(signum):
    work = f"""sys.platform = "darwin"
    signals.end_with_parent(os.getppid())
    signals.block_signals()
    os.kill(os.getpid(), {int(signum)})
    while {int(signum)} not in signals.pending_signals():
        time.sleep(0.01)
    print("pending")"""
    assert launch(work).communicate(timeout=HANG) == ("pending\n", "")


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_that_arrives_while_a_training_is_checked_stops_the_command(signum):
    work = f"""from lagem.cluster import request
    from lagem.cluster.job import Job
    from lagem.cluster.profile import Profile
    from lagem.training import cli as training
    parse = training.run_training
    training.run_training = lambda words: (os.kill(os.getpid(), {int(signum)}), parse(words))
    words = ["fit", "--config", "{ROOT}/experiments/autoencoder/toy.yaml"]
    request.check_training(Job(name="a", command=words, folder=None, profile=Profile(), python=""), local=True)
    print("checked")"""
    process = launch(work)
    assert process.communicate(timeout=HANG) == ("", f"lagem: stopped by {signum.name}: run the same command again.\n")
    assert process.returncode == 128 + signum


@BOTH
def test_a_command_that_keeps_nothing_asks_for_another_start(signum):
    assert stopped(WAIT, signum) == (128 + signum, f"lagem: stopped by {signum.name}: run the same command again.\n")


@BOTH
def test_the_second_signal_ends_a_command_at_once(signum):
    work = f"try:\n        {WAIT}\n    finally:\n        time.sleep(3600)"
    assert stopped(work, signum, signum) == (-signum, "")


def test_a_stop_that_a_library_turns_into_another_error_is_still_a_stop():
    work = f"try:\n        {WAIT}\n    except KeyboardInterrupt:\n        sys.exit(1)"
    assert stopped(work, signal.SIGTERM)[0] == 128 + signal.SIGTERM


SLOW_IMPORT = """sys.path.append({folder!r})
    import slow
    with signals.kept_on_stop(lambda: str(slow.done)):
        time.sleep(3600)"""


def test_an_import_is_not_interrupted(tmp_path):
    """Python only prints an exception raised in a callback of its import system, so a stop there would be lost."""
    (tmp_path / "slow.py").write_text("import time\nprint(flush=True)\ntime.sleep(0.3)\ndone = True")
    message = stopped(SLOW_IMPORT.format(folder=str(tmp_path)), signal.SIGTERM)[1]
    assert message == "lagem: stopped by SIGTERM: True\n"


POSTPONED = f"""kept = []
    with signals.kept_on_stop(lambda: f"{{kept}}"):
        with signals.stop_postponed():
            ready()
            time.sleep(0.3)
            kept.append(1)
        {WAIT}"""


def test_a_postponed_stop_comes_after_the_block():
    assert stopped(POSTPONED, signal.SIGTERM)[1] == "lagem: stopped by SIGTERM: [1]\n"


FIRST_POSTPONED = f"""kept = []
    with signals.kept_on_stop(lambda: f"{{kept}}"):
        with signals.first_stop_postponed():
            ready()
            sys.stdin.readline()
            kept.append(1)
        {WAIT}"""


@LINUX
@BOTH
def test_a_first_stop_that_is_postponed_comes_after_the_block_and_a_second_at_once(signum):
    process = start(FIRST_POSTPONED, stdin=subprocess.PIPE)
    process.send_signal(signum)
    assert process.communicate("\n", timeout=HANG)[1] == f"lagem: stopped by {signum.name}: [1]\n"
    process = start(FIRST_POSTPONED, stdin=subprocess.PIPE)
    process.send_signal(signum)
    deadline = time.monotonic() + HANG
    while signum in caught(process):  # two signals that are pending at once count as one
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signum)
    assert process.wait(timeout=HANG) == -signum


def test_a_command_in_the_background_of_a_script_ignores_interrupts():
    work = "ready(); time.sleep(0.3); print('finished')"
    process = start(work, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=HANG) == ("finished\n", "") and process.returncode == 0


@LINUX
def test_the_second_interrupt_ends_a_training_at_once():
    """A training leaves the first interrupt pending until the end of its step; the second must not wait.

    Two interrupts that are pending at once for the whole process count as one. `block_signals` starts a thread that
    takes the first interrupt and passes it on to the main thread. Only then does this test send the second.
    """
    work = """signals.block_signals()
    ready()
    while not any(line.startswith("SigPnd:") and int(line[7:], 16) & 2 for line in open("/proc/self/status")):
        time.sleep(0.01)
    assert signal.SIGINT in signals.pending_signals()
    ready()
    time.sleep(3600)"""
    process = start(work)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=HANG)[1].startswith("lagem: stopped by a second SIGINT; --ckpt_path last")
    assert process.returncode == 128 + signal.SIGINT


METHODS = pytest.mark.parametrize("method", ["fork", "forkserver"])
LOADING = """import multiprocessing, subprocess
    load = "from lagem import signals; import time; signals.obey_only_parent(); print(flush=True); time.sleep(3600)"
    loading = multiprocessing.get_context({method!r}).Process(target=exec, args=(load,))
    loading.start()
    {then}"""


@METHODS
def test_a_loading_process_ends_with_a_killed_training(method):
    process = start(LOADING.format(method=method, then="time.sleep(3600)"))
    process.kill()
    process.communicate(timeout=HANG)  # when no process is left that could print


@METHODS
def test_only_its_training_terminates_a_loading_process(method):
    then = """sys.stdin.readline()  # until it loads
    subprocess.run(["kill", "-TERM", str(loading.pid)])
    loading.join(0.2)
    assert loading.is_alive()
    loading.terminate()
    loading.join()
    print(loading.exitcode, flush=True)"""
    process = start(LOADING.format(method=method, then=then), stdin=subprocess.PIPE)
    assert process.communicate("\n", timeout=HANG) == ("0\n", "")


CHILDREN = """from lagem.sources.processes import run_in_processes
    item = "import os, time; print(os.getpid(), flush=True); time.sleep(3600)"
    with contextlib.closing(run_in_processes(exec, [item] * 2, workers=2)) as results:
        list(results)"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@LINUX
@BOTH
def test_no_child_outlives_a_stopped_command(signum):
    """The signal goes to the whole process group, as from a terminal. One child works, one may still be starting."""
    process = start(CHILDREN)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    os.killpg(process.pid, signum)
    _, errors = process.communicate(timeout=HANG)  # when no process is left that could print
    assert "Traceback" not in errors
    deadline = time.monotonic() + HANG
    while any(is_running(int(child)) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


RANK = """signals.block_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    import multiprocessing
    loading = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(0,))
    loading.start()
    loading.join()
    queue = multiprocessing.get_context("forkserver").Queue()
    print(signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, signal.SIGTERM in before)
    with open(f"/proc/{multiprocessing.resource_tracker._resource_tracker._pid}/status") as status:
        blocked = int(status.read().partition("SigBlk:")[2].split()[0], 16)
    print(blocked >> signal.SIGUSR1 - 1 & 1, flush=True)"""


@LINUX
def test_signals_stay_blocked_when_a_rank_starts_its_loading_processes():
    """If SIGUSR1 killed the resource tracker, the next one that starts would unblock SIGTERM in the training."""
    process = launch(RANK)
    assert process.communicate(timeout=HANG) == ("True True\n1\n", "")


ARRIVES = """from multiprocessing import resource_tracker
    start = resource_tracker.ensure_running
    resource_tracker.ensure_running = lambda: (os.kill(os.getpid(), {number}), start())
    signals.block_signals()
    while not signals.pending_signals():
        time.sleep(0.01)
    print(*map(int, signals.pending_signals()), flush=True)"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda signum: signum.name)
def test_a_signal_that_arrives_while_signals_are_being_blocked_stays_pending(signum):
    process = launch(ARRIVES.format(number=int(signum)))
    assert process.communicate(timeout=HANG) == (f"{int(signum)}\n", "")
