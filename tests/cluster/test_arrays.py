"""A job whose parts run on this machine writes what an undivided job writes; an error names a failed part."""

import pytest
import trimesh

from lagem.cli import main
from lagem.cluster.arrays import ArrayTask, script_of_parts
from lagem.cluster.job import Job
from lagem.cluster.profile import Profile

COUNTS = ["--surface", "60", "--volume", "400", "--near", "50", "--inside", "0"]


@pytest.fixture
def meshes(tmp_path):
    folder = tmp_path / "meshes"
    folder.mkdir()
    for number in range(5):
        trimesh.creation.box((1, 1 + number / 10, 2)).export(folder / f"{number}.ply")
    return folder


def local(tmp_path, *words: str) -> None:
    main(["submit", "--local", "--array", "2", "--runs", str(tmp_path / "runs"), "--name", "x", "--", *words])


def test_local_parts_write_what_one_run_writes(meshes, tmp_path):
    for name, start in (("one", main), ("parts", lambda words: local(tmp_path, *words))):
        start(["prepare", str(meshes), "--output", str(tmp_path / name), *COUNTS])
    files = {
        name: {path.name: path.read_bytes() for path in (tmp_path / name / "shards").iterdir()}
        for name in ("one", "parts")
    }
    assert files["parts"] == files["one"] and files["one"]
    assert (tmp_path / "parts" / "index.csv").read_bytes() == (tmp_path / "one" / "index.csv").read_bytes()
    logs = [path.read_text() for path in (tmp_path / "runs" / "x" / "parts").glob("part_*.out")]
    assert sorted("part 0/2" in log for log in logs) == [False, True]


def test_a_part_that_fails_is_named_with_its_log(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        local(tmp_path, "prepare", str(tmp_path / "nothing"), "--output", str(tmp_path / "out"))
    error = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2
    assert "2 of 2 parts failed" in error and "part_0.out" in error


def test_a_preempted_part_asks_for_itself_again():
    task = ArrayTask(("prepare", "a", "--output", "b"), 1, 3)
    again = task.checkpoint()
    assert again.function == task and again.args == ()


def test_an_array_has_a_task_a_part_with_what_the_profile_gives_one_task(tmp_path):
    profile = Profile(
        nodes=4, gpus_per_node=4, cpus_per_task=3, hours=2, memory="5G", environment=["module load x"], python="py"
    )
    command = ["encode", "a", "b", "--output", "c"]
    job = Job(name="x", command=command, folder=tmp_path, profile=profile, python="python", parts=7)
    lines = script_of_parts(job, ["12"]).splitlines()
    for option in ("array=0-6%7", "nodes=1", "ntasks-per-node=1", "gpus-per-node=1", "cpus-per-task=3", "time=120",
                   "mem=5G", "dependency=afterok:12", "requeue", "open-mode=append", "signal=USR2@120"):  # fmt: skip
        assert f"#SBATCH --{option}" in lines
    assert "module load x" in lines and not [line for line in lines if "wckey" in line]
    assert lines[-2].startswith("srun ") and " py -P -u -m submitit" in lines[-2]
