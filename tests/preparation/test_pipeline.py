"""One call, several calls and killed calls prepare a folder with the same bytes; conflicting inputs are refused."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from lagem.preparation import packing, pipeline
from lagem.preparation.packing import pack
from lagem.preparation.pipeline import prepare
from lagem.prepared.shards import Shards
from lagem.storage.parts import Part

BATCH = """
import sys
from lagem.preparation import Settings, prepare
if __name__ == "__main__":
    counts = dict(surface=60, volume=400, near=50, inside=0)
    prepare([sys.argv[1]], sys.argv[2], Settings(**counts, watertight="none", shapes_per_shard=3))
"""


@pytest.fixture
def undisturbed(prepared_in, tmp_path, in_this_process, payload):
    return payload(prepared_in(tmp_path / "undisturbed"))


def test_two_workers_write_the_same_bytes_as_none(folder, tmp_path, small, undisturbed, payload, monkeypatch):
    monkeypatch.undo()  # this test uses child processes
    prepare([folder], tmp_path / "two", small, workers=2)
    assert payload(tmp_path / "two") == undisturbed


def test_nothing_but_shards_and_tables_is_left(undisturbed):
    assert sorted(name for name in undisturbed if not name.startswith("shards/")) == [
        "format.json",
        "index.csv",
        "table.csv",
    ]
    assert len(undisturbed) == 3 + 3  # 7 shapes, 3 a shard


@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_batch_goes_on_to_the_same_bytes(after, folder, tmp_path, small, undisturbed, payload):
    out = tmp_path / "killed"
    batch = subprocess.Popen(
        [sys.executable, "-c", BATCH, folder, out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while batch.poll() is None and len(list(out.glob("shapes/*.json"))) < after:
        time.sleep(0.005)
    batch.send_signal(signal.SIGKILL)
    batch.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("shapes/*.json")}
    assert len(finished) >= after or (out / "index.csv").exists()

    prepared = []
    original = pipeline.prepare_shape
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pipeline, "prepare_shape", lambda path, id, *rest: (prepared.append(id), original(path, id, *rest))[1]
        )
        prepare([folder], out, small)
    assert payload(out) == undisturbed
    assert not {f"{id}.json" for id in prepared} & set(finished)


@pytest.mark.parametrize("step", ["write_shard", "index_rows", "write_csv", "write_table"])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_killed_packing_goes_on_to_the_same_bytes(
    step, call, folder, tmp_path, small, undisturbed, payload, monkeypatch
):
    out, calls, original = tmp_path / "killed", [], getattr(packing, step)

    def killed(*args):
        calls.append(args)
        if len(calls) > call:
            raise KeyboardInterrupt
        return original(*args)

    (tmp_path / "first").mkdir()
    (folder / "boxes" / "box_1.ply").rename(tmp_path / "first" / "box_1.ply")
    prepare([folder], out, small)  # an older index, whose shards all change
    (tmp_path / "first" / "box_1.ply").rename(folder / "boxes" / "box_1.ply")
    monkeypatch.setattr(packing, step, killed)
    try:
        prepare([folder], out, small)
    except KeyboardInterrupt:
        assert Shards(out).read(len(Shards(out)) - 1, "surface_points").shape == (60, 3)  # the old index still holds
    monkeypatch.setattr(packing, step, original)
    prepare([folder], out, small)
    assert payload(out) == undisturbed


def test_packing_twice_changes_no_byte(folder, tmp_path, small, undisturbed, payload):
    pack(tmp_path / "undisturbed")
    assert payload(tmp_path / "undisturbed") == undisturbed


def test_meshes_added_later_give_the_bytes_of_one_batch(folder, tmp_path, small, undisturbed, payload):
    out = tmp_path / "later"
    boxes, aside = folder / "boxes", tmp_path / "aside"
    boxes.rename(aside)
    prepare([folder], out, small)
    aside.rename(boxes)
    untouched = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    prepare([folder], out, small)
    assert payload(out) == undisturbed
    assert untouched == {name: (out / "shards" / name).stat().st_mtime_ns for name in untouched}


def test_a_finished_folder_is_not_prepared_again(folder, tmp_path, small, undisturbed, payload, monkeypatch):
    monkeypatch.setattr(pipeline, "run_in_processes", None)
    records = prepare([folder], tmp_path / "undisturbed", small)
    assert [record.status for record in records].count("prepared") == 7
    assert payload(tmp_path / "undisturbed") == undisturbed


def test_a_removed_shard_is_written_again_with_the_same_bytes(folder, tmp_path, small, undisturbed, payload):
    """A user may remove a shard because it is damaged."""
    out = tmp_path / "undisturbed"
    for shard in sorted((out / "shards").iterdir())[:2]:
        shard.unlink()
        prepare([folder], out, small)
        assert payload(out) == undisturbed


def test_a_lost_table_loses_no_shape(folder, tmp_path, small, undisturbed, payload):
    (tmp_path / "undisturbed" / "table.csv").unlink()
    pack(tmp_path / "undisturbed")
    assert len(Shards(tmp_path / "undisturbed")) == 7
    prepare([folder], tmp_path / "undisturbed", small)
    found = payload(tmp_path / "undisturbed")
    rows, expected = (
        [row.split(b",")[:5] for row in files.pop("table.csv").splitlines()] for files in (found, undisturbed)
    )
    assert rows == expected  # the first columns are restored; the measurements are lost
    assert found == undisturbed


def test_a_twin_that_comes_later_does_not_double_a_shape(folder, tmp_path, small, undisturbed):
    (folder / "boxes" / "box_1.stl").write_bytes(b"")
    prepare([folder], tmp_path / "undisturbed", small)
    ids = Shards(tmp_path / "undisturbed").ids
    assert len(ids) == 7 and "boxes__box_1" in ids
    rows = (tmp_path / "undisturbed" / "table.csv").read_text().splitlines()
    assert len([row for row in rows if row.startswith("boxes__box_1")]) == 2  # the shape, and its empty twin, refused
    (folder / "boxes" / "box_1.stl").unlink()
    prepare([folder], tmp_path / "undisturbed", small)
    assert Shards(tmp_path / "undisturbed").ids == ids


def test_a_prepared_file_under_another_id_is_refused(folder, tmp_path, small, undisturbed):
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"file,id\n{folder}/boxes/box_1.ply,other\n")
    with pytest.raises(ValueError, match=r"box_1.ply: has the id 'other', but was prepared as 'boxes__box_1'"):
        prepare([manifest], tmp_path / "undisturbed", small)


def test_a_damaged_table_is_one_line(folder, tmp_path, small, undisturbed):
    table = tmp_path / "undisturbed" / "table.csv"
    table.write_text(table.read_text().replace(",seconds", ",time"))
    with pytest.raises(ValueError, match=r"table.csv: is damaged, or was written by another version .*remove it"):
        prepare([folder], tmp_path / "undisturbed", small)


def test_a_folder_of_an_older_lagem_is_said_to_be_one(folder, tmp_path, small, undisturbed):
    header = tmp_path / "undisturbed" / "format.json"
    header.write_text(header.read_text().replace('"watertight"', '"other"'))
    with pytest.raises(ValueError, match=r"older version of lagem, whose format.json lacks watertight"):
        prepare([folder], tmp_path / "undisturbed", small)


def test_a_shape_without_its_record_is_not_kept(folder, tmp_path, small, undisturbed, payload):
    (tmp_path / "undisturbed" / "shapes" / "boxes__open.safetensors").write_bytes(b"whole or not")
    prepare([folder], tmp_path / "undisturbed", small)
    assert payload(tmp_path / "undisturbed") == undisturbed


@pytest.mark.parametrize(
    ("left", "zeros"),
    [(slice(0), 0), (slice(200), 0), (slice(-1), 0), (slice(-100), 100)],
    ids=["nothing", "the start", "all but a byte", "zeros at the end"],
)
def test_files_that_a_power_cut_left_incomplete_are_made_again(
    left, zeros, folder, tmp_path, small, undisturbed, payload
):
    out = tmp_path / "cut"
    prepare([folder], out, small, part=Part(0, 1))
    shape, other = out / "shapes" / "boxes__box_1.safetensors", out / "shapes" / "boxes__box_2.json"
    shape.write_bytes(shape.read_bytes()[left] + bytes(zeros))
    other.write_bytes(b"" if left == slice(0) else bytes(len(other.read_bytes())))
    prepare([folder], out, small)
    assert payload(out) == undisturbed


@pytest.mark.parametrize("change", [{"seed": 1}, {"surface": 61}, {"shapes_per_shard": 4}, {"val_share": 0.5}])
def test_changed_settings_are_refused(change, folder, tmp_path, small, in_this_process):
    prepare([folder / "balls"], tmp_path / "out", small)
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=rf"was made with {name}=.* but this command has {name}={value}; use the same"):
        prepare([folder / "balls"], tmp_path / "out", replace(small, **change))


def test_one_id_for_two_meshes_is_refused_also_across_calls(folder, tmp_path, small, in_this_process, box):
    prepare([folder / "boxes"], tmp_path / "out", small)
    box.save(tmp_path / "others" / "box_0.ply")
    with pytest.raises(
        ValueError, match=r"'box_0' was prepared from .*boxes/box_0.ply, but now names .*others/box_0.ply"
    ):
        prepare([tmp_path / "others"], tmp_path / "out", small)


def test_meshes_that_were_moved_are_still_known(folder, tmp_path, small, undisturbed, payload):
    folder.rename(tmp_path / "elsewhere")
    prepare([tmp_path / "elsewhere"], tmp_path / "undisturbed", small)
    assert {**payload(tmp_path / "undisturbed"), "table.csv": b""} == {**undisturbed, "table.csv": b""}


def test_another_category_for_a_prepared_mesh_is_refused(folder, tmp_path, small, in_this_process):
    prepare([folder / "balls"], tmp_path / "out", small)
    with pytest.raises(ValueError, match="was prepared as category 'balls'"):
        prepare([folder / "balls"], tmp_path / "out", small, category="other")


def test_a_folder_of_other_things_is_not_written_into(folder, tmp_path, small):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty and not a prepared folder"):
        prepare([folder], tmp_path / "home", small)


def test_two_batches_cannot_write_into_one_folder(folder, tmp_path, small, in_this_process):
    prepare([folder], tmp_path / "out", small)
    with (
        pipeline.locked(tmp_path / "out", "lagem prepare"),
        pytest.raises(ValueError, match="another `lagem prepare` is writing"),
    ):
        prepare([folder], tmp_path / "out", small)


def test_one_file_under_two_ids_is_resumed(folder, tmp_path, small, in_this_process):
    manifest = folder / "list.csv"
    manifest.write_text("file,id\nboxes/box_0.ply,a\n")
    prepare([manifest], tmp_path / "out", small)
    manifest.write_text("file,id\nboxes/box_0.ply,a\nboxes/box_0.ply,b\n")
    for _ in range(2):
        records = prepare([manifest], tmp_path / "out", small)
        assert [(record.id, record.status) for record in records] == [("a", "prepared"), ("b", "prepared")]
    manifest.write_text("file,id\nboxes/box_0.ply,b\nboxes/box_0.ply,c\n")
    with pytest.raises(ValueError, match="was prepared as 'a'"):
        prepare([manifest], tmp_path / "out", small)
