"""`lagem submit` on a real SLURM: jobs run, wait, are requeued after a signal, and lose nothing."""

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import trimesh
import yaml

import small_run
from lagem.cli import main
from lagem.preparation.pipeline import preparation_status

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
MESHES = 60  # enough for a task to have some left when it is killed
COUNTS = ["--surface", "5000", "--volume", "10000", "--near", "5000", "--shapes-per-shard", "5"]


@pytest.fixture
def submit(slurm, tmp_path, capsys, monkeypatch):
    """A function that submits a job by the command line and returns its id."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump({"nodes": 2, "memory": "1G", "hours": 0.2}))

    def run(name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        places = ["--profile", str(tmp_path / "profile.yaml"), "--runs", str(tmp_path / "runs"), "--name", name]
        capsys.readouterr()
        main(["submit", *places, *options, "--", *words])
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture(scope="module")
def meshes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meshes")
    for number in range(MESHES):
        trimesh.creation.box((1, 1 + number / 10, 2)).export(folder / f"{number:02d}.ply")
    (folder / "broken.obj").write_text("no mesh")
    return folder


def payload(root: Path) -> dict[str, bytes]:
    """Return the files of a prepared folder, without the seconds in table.csv."""
    files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    files.pop(".lock", None)
    table = files.pop("table.csv").splitlines()
    return {**files, "table.csv": b"\n".join(row.rpartition(b",")[0] for row in table)}


@pytest.fixture(scope="module")
def undisturbed(meshes, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    main(["prepare", str(meshes), "--output", str(out), *COUNTS])
    return payload(out)


def wait_for_record(out: Path, id: str) -> None:
    """Wait until the mesh `id` is prepared.

    `id` must be the first mesh of a job or of an array's task. The remaining meshes take more than a second in total,
    so the job or task is still running when the test interrupts it.
    """
    deadline = time.monotonic() + 90
    while not (out / "shapes" / f"{id}.json").exists():
        assert time.monotonic() < deadline, list(out.rglob("*"))
        time.sleep(0.005)


def kill_task(array: str, number: int) -> None:
    """Send SIGKILL to the Python processes of a task, as if memory ran out; scancel would let them end cleanly."""
    wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={number}".encode()}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            inside = wanted <= set((process / "environ").read_bytes().split(b"\0"))
            if inside and b"python" in (process / "cmdline").read_bytes().split(b"\0")[0]:
                os.kill(int(process.name), signal.SIGKILL)


def array_of(slurm, job: str) -> str:
    """Return the id of the array that a job waits for."""
    return re.search(r"afterok:(\d+)", slurm.show(job)["Dependency"])[1]


def test_a_fit_on_two_nodes_runs_to_its_end_also_when_it_is_preempted(slurm, submit, tmp_path):
    run = tmp_path / "runs" / "a fit"
    command = small_run.small_fit(run, "--trainer.accelerator=cpu", "--trainer.strategy=ddp", steps=60)
    job = submit("a fit", *command)
    deadline = time.monotonic() + 90
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline, (run / f"slurm-{job}.out").read_text()
        time.sleep(0.05)
    slurm.signal(job, "USR1")
    ended = slurm.wait(job)
    log = (run / f"slurm-{job}.out").read_text()
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1"), log
    assert log.count("MEMBER: 2/2") == 2 and (run / "finished").is_file()
    first, second = json.loads((run / "run.json").read_text())
    assert first["slurm"]["SLURM_JOB_ID"] == second["slurm"]["SLURM_JOB_ID"] == job
    assert second["slurm"]["SLURM_RESTART_COUNT"] == "1"


def test_a_job_waits_for_another_and_is_cancelled_where_that_fails(slurm, submit, tmp_path):
    (tmp_path / "table.csv").write_text("id\na\nb\n")
    quick = ["select-ids", str(tmp_path / "table.csv"), "--count", "1", "--output", str(tmp_path / "ids.txt")]
    good = submit("good", *quick)
    bad = submit("bad", *quick[:3], "3", *quick[4:])
    behind_good = submit("behind_good", *quick, options=("--after", good))
    behind_bad = submit("behind_bad", *quick, options=("--after", good, bad))
    first, second = slurm.wait(good), slurm.wait(behind_good)
    assert (first["JobState"], second["JobState"]) == ("COMPLETED", "COMPLETED")
    assert second["StartTime"] >= first["EndTime"]
    failed = slurm.wait(bad)
    assert (failed["JobState"], failed["ExitCode"]) == ("FAILED", "2:0")
    assert slurm.wait(behind_bad)["JobState"] == "CANCELLED"
    assert not (tmp_path / "runs" / "bad" / "finished").exists()


def test_a_killed_task_of_an_array_loses_and_doubles_nothing(slurm, submit, meshes, undisturbed, tmp_path):
    out = tmp_path / "prepared"
    words = ["prepare", str(meshes), "--output", str(out), *COUNTS]
    last = submit("array", *words, options=("--array", "3"))
    array = array_of(slurm, last)
    slurm.wait(f"{array}_1", "RUNNING")
    wait_for_record(out, "01")
    kill_task(array, 1)
    assert slurm.wait(f"{array}_1")["JobState"] == "FAILED"
    assert slurm.wait(f"{array}_0")["JobState"] == slurm.wait(f"{array}_2")["JobState"] == "COMPLETED"
    assert slurm.wait(last)["JobState"] == "CANCELLED" and not (out / "index.csv").exists()
    missing = int(re.search(r"(\d+) missing", preparation_status([meshes], out))[1])
    assert 0 < missing <= MESHES / 3 + 1
    again = submit("array", *words, options=("--array", "3"))  # the same command
    assert slurm.wait(again)["JobState"] == "COMPLETED", slurm.log(again)
    assert payload(out) == undisturbed
    assert preparation_status([meshes], out) == f"{MESHES + 1} meshes: {MESHES} done, 1 refused, 0 missing"


def test_a_preempted_task_of_an_array_comes_back_by_itself(slurm, submit, meshes, undisturbed, tmp_path):
    out = tmp_path / "prepared"
    last = submit("array", "prepare", str(meshes), "--output", str(out), *COUNTS, options=("--array", "2"))
    array = array_of(slurm, last)
    slurm.wait(f"{array}_1", "RUNNING")
    wait_for_record(out, "01")
    slurm.signal(f"{array}_1", "USR2")
    task = slurm.wait(f"{array}_1")
    assert (task["JobState"], task["Restarts"]) == ("COMPLETED", "1")
    assert slurm.wait(last)["JobState"] == "COMPLETED", slurm.log(last)
    assert payload(out) == undisturbed


def test_a_command_that_can_go_on_is_requeued_before_its_time_limit(slurm, submit, meshes, undisturbed, tmp_path):
    out = tmp_path / "prepared"
    job = submit("one", "prepare", str(meshes), "--output", str(out), *COUNTS)
    wait_for_record(out, "00")
    os.system(f"scancel --batch --signal=USR1 {job}")  # as SLURM does before the time limit
    ended = slurm.wait(job)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    assert payload(out) == undisturbed
