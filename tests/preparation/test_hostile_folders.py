"""Whatever a prepared folder contains, preparing into it and reading it change no file outside the folder."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import trimesh
from safetensors import safe_open
from safetensors.numpy import save

import preparation_here
from hostile_names import HOSTILE
from lagem.cli import main
from lagem.geometry.mesh import Mesh
from lagem.preparation.settings import Settings
from lagem.prepared.shard_file import ShardFile, write_shard
from lagem.prepared.shards import Shards

SMALL = Settings(surface=60, volume=400, near=50, inside=0, watertight="none", shapes_per_shard=3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A folder with meshes/, which holds seven boxes, and prepared/, which holds them in three shards."""
    root = tmp_path_factory.mktemp("boxes")
    for number in range(7):
        box = trimesh.creation.box((1, 1 + number, 2))
        Mesh(box.vertices, box.faces).save(root / "meshes" / f"box_{number}.ply")
    preparation_here.prepare([root / "meshes"], root / "prepared", SMALL)
    return root


@pytest.fixture
def root(prepared, tmp_path) -> Path:
    """A copy of the prepared folder. Other files lie in the folder above it and in a folder next to it."""
    shutil.copytree(prepared / "prepared", tmp_path / "a" / "prepared")
    return tmp_path / "a" / "prepared"


@pytest.fixture(autouse=True)
def victims(tmp_path) -> Iterator[None]:
    """Make files outside the prepared folder. Hostile ids lead to these files, and no test may change them."""
    paths = [tmp_path / "a" / "x.safetensors", tmp_path / "outside" / "x.safetensors", tmp_path / "outside" / "x.json"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text("keep")
    yield
    assert all(path.read_text() == "keep" for path in paths)
    assert len(list((tmp_path / "outside").iterdir())) == 2


def rewritten(path: Path, number: int, **changes: str) -> None:
    """Change fields of one row of a table; rows are counted from 1."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[number - 1].update(changes)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def again(prepared: Path, root: Path) -> None:
    preparation_here.prepare([prepared / "meshes"], root, SMALL)


@pytest.mark.parametrize("name", [*HOSTILE, "../../../outside/x"])
@pytest.mark.parametrize("column", ["id", "shard"])
def test_a_hostile_name_in_the_index_is_refused_with_its_row(prepared, root, column, name):
    rewritten(root / "index.csv", 3, **{column: name})
    for use in (again, lambda _, root: Shards(root)):
        with pytest.raises(ValueError, match=r"index\.csv: row 3: "):
            use(prepared, root)
    assert len(list((root / "shards").iterdir())) == 3


@pytest.mark.parametrize("name", ["../../x", "../../../outside/x", "/x", "a/b"])
def test_a_hostile_id_in_a_shard_is_refused_with_its_row(prepared, root, name):
    shape = ShardFile(next((root / "shards").iterdir())).shape(0)
    write_shard(root / "shards" / "unindexed.safetensors", [replace(shape, id="fine"), replace(shape, id=name)])
    with pytest.raises(ValueError, match=r"unindexed\.safetensors: row 1: "):
        again(prepared, root)


@pytest.mark.parametrize("name", ["../../x", "../../../outside/x", ".."])
def test_a_hostile_id_in_the_records_is_refused(prepared, root, name):
    rewritten(root / "table.csv", 2, id=name)
    with pytest.raises(ValueError, match=r"table\.csv: row 2: "):
        again(prepared, root)


def test_a_record_of_another_id_is_refused(prepared, root):
    record = {"id": "../../x", "category": "", "split": "train", "source": "", "status": "refused"}
    (root / "shapes" / "box_1.json").write_text(json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"box_1\.json: is the record of '../../x'"):
        again(prepared, root)


@pytest.mark.parametrize("folder", ["shapes", "shards"])
def test_a_linked_subfolder_is_refused_and_its_files_stay(prepared, root, tmp_path, folder):
    shutil.rmtree(root / folder)
    (root / folder).symlink_to(tmp_path / "outside")
    with pytest.raises(ValueError, match=f"{folder}: is a symbolic link to "):
        again(prepared, root)
    if folder == "shards":
        with pytest.raises(ValueError, match="leads out of the folder|is missing"):
            Shards(root).read(0, "surface_points")


def test_a_linked_shard_is_refused(prepared, root, tmp_path):
    shard = next((root / "shards").iterdir())
    shutil.move(shard, tmp_path / "elsewhere.safetensors")
    shard.symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ValueError, match=r"index\.csv: row \d: 'shards/\S+' leads out of the folder"):
        again(prepared, root)
    with pytest.raises(ValueError, match=f"'shards/{shard.name}' leads out of the folder"):
        [Shards(root).read(index, "surface_points") for index in range(7)]
    assert (tmp_path / "elsewhere.safetensors").exists()


def test_a_lock_that_is_a_link_is_not_followed(prepared, root, tmp_path):
    (root / ".lock").unlink()
    (root / ".lock").symlink_to(tmp_path / "made")
    with pytest.raises(OSError, match=r"\.lock"):
        again(prepared, root)
    assert not (tmp_path / "made").exists()


def test_an_index_that_lies_about_a_row_removes_nothing(prepared, root, tmp_path):
    row = (root / "index.csv").read_text().splitlines()[3].split(",")[4]
    rewritten(root / "index.csv", 3, row="0" if row != "0" else "1")
    shutil.copy(prepared / "meshes" / "box_0.ply", tmp_path / "a_new_one.ply")
    before = {path.name for path in root.glob("shards/*")}
    with pytest.raises(ValueError, match="index.csv says that row"):
        preparation_here.prepare([prepared / "meshes", tmp_path / "a_new_one.ply"], root, SMALL)
    assert before <= {path.name for path in root.glob("shards/*")}


def test_a_store_is_checked_as_a_folder_is(prepared, root, tmp_path):
    system = fsspec.filesystem("memory")
    system.put(str(root), "/hostile", recursive=True)
    rewritten(root / "index.csv", 3, shard="../../x")
    system.put_file(str(root / "index.csv"), "/hostile/index.csv")
    try:
        with pytest.raises(ValueError, match=r"memory://hostile/index\.csv: row 3: '../../x'"):
            Shards("memory://hostile")
    finally:
        system.rm("/hostile", recursive=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("scale", np.nan), ("scale", np.inf), ("scale", 0.0), ("scale", -1.0), ("center", np.nan), ("center", -np.inf)],
)
def test_a_shard_with_an_impossible_frame_is_refused_with_its_row(root, name, value):
    path = root / "shards" / Shards(root).shards[0]
    with safe_open(path, framework="numpy") as file:
        names = [key for key in file.keys() if not key.startswith("crc32.")]  # noqa: SIM118 (not a mapping)
        arrays = {key: file.get_tensor(key).copy() for key in names}
        about = json.loads(file.metadata()["lagem"])
    del about["crc32"]
    arrays[name].reshape(3, -1)[1, -1] = value
    path.write_bytes(save(arrays, metadata={"lagem": json.dumps(about)}))
    with pytest.raises(ValueError, match=rf"{path.name}: row 1: its frame has "):
        Shards(root).read(0, "surface_points")


def test_splits_that_fit_does_not_read_are_named(prepared, tmp_path, capsys):
    manifest = prepared / "meshes" / "splits.csv"
    splits = ["Train", "validation", "validation", "train", "val", "test", "test"]
    manifest.write_text("file,id,split\n" + "".join(f"box_{n}.ply,{n},{split}\n" for n, split in enumerate(splits)))
    preparation_here.prepare([manifest], tmp_path / "out", SMALL)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning:")]
    assert "train, val, test, but not these (with the number of shapes): 'Train' (1), 'validation' (2)" in line
    main(["inspect", str(tmp_path / "out"), "--output", str(tmp_path / "inspected"), "--judged", "0"])
    assert line in capsys.readouterr().out


def test_splits_that_fit_reads_are_not_warned_of(prepared, tmp_path, capsys):
    preparation_here.prepare([prepared / "meshes" / "box_0.ply"], tmp_path / "out", SMALL)
    assert "warning" not in capsys.readouterr().out
