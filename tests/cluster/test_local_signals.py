"""A chain passes a signal on to its running step and waits for it; a killed chain leaves no process behind."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trimesh

import small_command
import training_process
from deadlines import HANG
from local_chain import Chains, long_fit, step, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which lists the processes in /proc")


@pytest.fixture
def chains(tmp_path) -> Chains:
    return Chains(tmp_path)


def children_of(process: subprocess.Popen) -> list[int]:
    """Return the ids of the children of a chain, each of which is the leader of a session."""
    return [int(id) for id in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def processes_in(sessions: list[int]) -> list[str]:
    """Return the stat lines of the running processes in some sessions."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = path.read_text()
        except OSError:  # the process has ended
            continue
        state, _, _, session, *_ = line.rpartition(")")[2].split()
        if state != "Z" and int(session) in sessions:
            found.append(line)
    return found


def wait_until_none_is_in(sessions: list[int]) -> None:
    deadline = time.monotonic() + HANG
    while left := processes_in(sessions):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def started(chains: Chains, text: str) -> subprocess.Popen:
    """Start a chain with a training that is the leader of a process group; wait for a text in the training's log."""
    process = training_process.launch(chains.words, start_new_session=True)
    log = chains.folder / "training" / "local.out"
    wait_until(lambda: log.exists() and text in log.read_text(), process)
    return process


def stopped_by(signum: signal.Signals, chains: Chains, process: subprocess.Popen) -> tuple[list[str], int]:
    """Signal the process group of a chain, as Ctrl-C does; return the lines of the chain, and the step of the save."""
    sessions = children_of(process)
    assert processes_in(sessions)
    os.killpg(process.pid, signum)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 128 + signum and not processes_in(sessions), output
    assert f"  lagem: {signum.name}: saved " in output  # the training got the signal once, or it would not have saved
    return output.splitlines(), training_process.weights(chains.folder / "training")["global_step"]


@pytest.mark.slow
def test_a_signal_reaches_the_training_which_saves_and_the_same_command_resumes(chains):
    chains.write(step("first"), long_fit(chains), step("last", after=["training"]))
    lines, steps = stopped_by(signal.SIGINT, chains, started(chains, "run folder"))
    assert lines[-1] == (
        "lagem: stopped by SIGINT: step 2 of 3 (training) has stopped; its log is "
        f"{chains.folder / 'training' / 'local.out'}. To resume, run the same command again."
    )
    lines, more = stopped_by(signal.SIGTERM, chains, started(chains, f"after step {steps:,} from"))
    assert "step 1 of 3 (first): succeeded before, skipped" in lines
    assert more > steps > 0 and not (chains.folder / "last" / "local.out").exists()


@pytest.mark.slow
def test_the_signal_before_a_time_limit_saves_the_training(chains):
    """SLURM may send SIGUSR1 to the chain only; the training gets SIGTERM."""
    chains.write(step("first"), long_fit(chains))
    process = started(chains, "run folder")
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 128 + signal.SIGUSR1 and "lagem: stopped by SIGUSR1: step 2 of 2" in output
    assert "lagem: SIGTERM: saved " in chains.log("training")


WAITS = """import subprocess
    from lagem.cluster import local
    child = subprocess.Popen(
        ["bash", "-c", "trap 'echo asked; read; exit' INT TERM; echo runs >&2; while :; do sleep .1; done"],
        stdin=sys.stdin, stderr=subprocess.PIPE, text=True, start_new_session=True)
    child.stderr.readline()
    try:
        with signals.kept_on_stop(lambda: "kept"), local._stopped_with([child]):
            {then}
    finally:
        print("left", child.poll(), flush=True)"""


def test_a_first_stop_does_not_end_the_wait_for_a_step_that_another_error_stops():
    """The step ends only when it can read a line, which this test writes after the signal."""
    process = small_command.launch(WAITS.format(then="raise ValueError"), stdin=subprocess.PIPE)
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    wait_until(lambda: signal.SIGINT not in small_command.caught(process), process)
    assert not select.select([process.stdout], [], [], 0.5)[0]  # Python itself waits a quarter of a second
    output = process.communicate("\n", timeout=HANG)
    assert output == ("left 0\n", "lagem: stopped by SIGINT: kept\n") and process.returncode == 128 + signal.SIGINT


@pytest.mark.slow
def test_a_signal_saves_the_training_though_nobody_reads_the_output(chains):
    """Ctrl-C ends every process of a terminal, and so the `tee` that reads the output of the chain."""
    chains.write(step("first"), long_fit(chains))
    process = started(chains, "run folder")
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=HANG) == 128 + signal.SIGINT
    assert "lagem: SIGINT: saved " in chains.log("training")
    assert training_process.weights(chains.folder / "training")["global_step"] > 0


def test_a_signal_waits_for_the_step_though_nobody_reads_the_errors():
    reading, writing = os.pipe()
    os.close(reading)
    process = small_command.launch(
        WAITS.format(then="ready(); time.sleep(3600)"), stdin=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    assert process.communicate("\n", timeout=HANG)[0] == "left 0\n" and process.returncode == 128 + signal.SIGINT


@pytest.mark.slow
def test_a_killed_chain_leaves_no_training_behind(chains):
    chains.write(step("first"), long_fit(chains))
    process = started(chains, "run folder")
    sessions = children_of(process)
    assert processes_in(sessions)
    process.kill()
    process.communicate(timeout=HANG)
    wait_until_none_is_in(sessions)


def test_a_killed_chain_leaves_no_part_behind(chains):
    """Each part has processes that prepare its meshes."""
    chains.add_mesh()
    for number in range(20):
        trimesh.creation.icosphere(4).export(chains.folder / "meshes" / f"{number}.ply")
    chains.write(step("shapes", "prepare {folder}/meshes --output {folder}/data", array=2))
    process = training_process.launch(chains.words)
    wait_until(lambda: len(processes_in(children_of(process))) > len(children_of(process)) > 0, process)
    sessions = children_of(process)
    assert processes_in(sessions)
    process.kill()
    process.communicate(timeout=HANG)
    wait_until_none_is_in(sessions)


@pytest.mark.parametrize(
    ("signum", "ending"),
    [
        pytest.param(9, "was killed by SIGKILL, perhaps because memory ran out", marks=pytest.mark.slow),
        (40, "was killed by signal 40"),  # a real-time signal, which has no name
    ],
    ids=["SIGKILL", "real-time"],
)
def test_a_step_that_is_killed_is_named_with_its_signal(signum, ending, chains):
    chains.write(long_fit(chains) | {"after": []})
    process = started(chains, "lagem fit")
    wait_until(lambda: children_of(process), process)  # the log names the command before it starts
    (child,) = children_of(process)
    os.kill(child, signum)
    output, _ = process.communicate(timeout=HANG)
    assert process.returncode == 2
    assert f"step 1 of 1 (training) {ending}" in output.splitlines()[-1]
