"""A job that is split into parts gives the same bytes as one run, in any order and in parallel."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lagem.preparation import pipeline
from lagem.preparation.pipeline import preparation_status, prepare
from lagem.prepared.shards import Shards
from lagem.sources.processes import run_in_processes
from lagem.storage.parts import Part, locked, status_line

PART = """
import sys
from lagem.preparation import Settings, prepare
from lagem.storage.parts import Part
if __name__ == "__main__":
    counts = dict(surface=60, volume=400, near=50, inside=0)
    settings = Settings(**counts, watertight="none", shapes_per_shard=3)
    prepare([sys.argv[1]], sys.argv[2], settings, part=Part.of(sys.argv[3]))
"""


@pytest.fixture
def undisturbed(prepared_in, tmp_path, in_this_process, payload):
    return payload(prepared_in(tmp_path / "undisturbed"))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 40])
def test_each_item_is_in_one_part(count):
    items = list(range(23))
    parts = [Part(number, count).items_of(items) for number in range(count)]
    assert sorted(item for part in parts for item in part) == items


@pytest.mark.parametrize("text", ["", "3", "3/", "3/3", "-1/3", "a/b", "0/0", "1/2/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match=r"must be I/N .*, but '.*' was given"):
        Part.of(text)


def test_parts_in_any_order_then_the_whole_give_the_bytes_of_one_run(folder, tmp_path, small, undisturbed, payload):
    out = tmp_path / "parts"
    for number in (2, 0, 1):
        prepare([folder], out, small, part=Part(number, 3))
    assert not (out / "index.csv").exists()
    prepare([folder], out, small)
    assert payload(out) == undisturbed


def test_parts_at_the_same_time_give_the_bytes_of_one_run(folder, tmp_path, small, undisturbed, payload):
    out = tmp_path / "parts"
    with ThreadPoolExecutor(4) as pool:  # all parts find no folder and try to make it
        list(pool.map(lambda number: prepare([folder], out, small, part=Part(number, 4)), range(4)))
    prepare([folder], out, small)
    assert payload(out) == undisturbed


def test_a_part_that_was_never_done_is_done_by_the_whole(folder, tmp_path, small, undisturbed, payload, monkeypatch):
    out = tmp_path / "parts"
    prepare([folder], out, small, part=Part(0, 2))
    before = preparation_status([folder], out)
    assert before == "10 meshes: 4 done, 1 refused, 5 missing"
    prepared, original = [], pipeline.prepare_one
    monkeypatch.setattr(
        pipeline, "prepare_one", lambda mesh, **more: (prepared.append(mesh), original(mesh, **more))[1]
    )
    prepare([folder], out, small)
    assert len(prepared) == 5
    assert payload(out) == undisturbed
    assert preparation_status([folder], out) == "10 meshes: 7 done, 3 refused, 0 missing"


def test_the_status_of_a_missing_folder_is_refused_before_the_meshes_are_read(tmp_path):
    with pytest.raises(ValueError, match="missing: there is no such folder"):
        preparation_status([tmp_path / "no_manifest.csv"], tmp_path / "missing")


def test_a_killed_part_loses_and_doubles_nothing(folder, tmp_path, small, undisturbed, payload):
    out = tmp_path / "killed"
    killed = subprocess.Popen([sys.executable, "-c", PART, folder, out, "0/2"], stderr=subprocess.DEVNULL)
    while killed.poll() is None and not list(out.glob("shapes/*.json")):
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for number in (1, 0):
        prepare([folder], out, small, part=Part(number, 2))
    prepare([folder], out, small)
    assert payload(out) == undisturbed


def test_a_finished_part_is_not_done_again_in_other_parts(folder, tmp_path, small, in_this_process, monkeypatch):
    out = tmp_path / "parts"
    for number in range(2):
        prepare([folder], out, small, part=Part(number, 2))
    monkeypatch.setattr(pipeline, "run_in_processes", None)
    for number in range(3):
        prepare([folder], out, small, part=Part(number, 3))


def test_a_twin_that_comes_between_two_parts_does_not_double_a_shape(folder, tmp_path, small, in_this_process):
    out = tmp_path / "parts"
    prepare([folder], out, small, part=Part(0, 1))
    (folder / "boxes" / "box_1.stl").write_bytes(b"")
    prepare([folder], out, small, part=Part(0, 1))
    prepare([folder], out, small)
    assert len(Shards(out)) == 7 and "boxes__box_1" in Shards(out).ids


@pytest.mark.parametrize(("first", "then"), [(Part(0, 2), None), (None, Part(0, 2)), (Part(0, 2), Part(0, 2))])
def test_a_part_and_the_whole_or_the_same_part_twice_do_not_run_beside_one_another(first, then, tmp_path):
    with locked(tmp_path, "lagem prepare", first), pytest.raises(ValueError, match="another `lagem prepare"):
        locked(tmp_path, "lagem prepare", then).__enter__()


def test_two_parts_run_beside_one_another(tmp_path):
    with locked(tmp_path, "x", Part(0, 2)), locked(tmp_path, "x", Part(1, 2)):
        pass


def test_signals_to_all_processes_of_a_job_are_not_taken_for_a_mesh_that_kills():
    """Schedulers signal every process of a job. The children ignore these signals.

    If a signal ended a child, the mesh that the child works on would be refused.
    """
    sent = [int(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)]
    results = list(run_in_processes(signal.raise_signal, sent, workers=1))
    assert results == [(number, None) for number in sent]


def test_missing_is_what_is_neither_done_nor_refused():
    assert status_line("meshes", total=9, done=5, refused=1) == "9 meshes: 5 done, 1 refused, 3 missing"
