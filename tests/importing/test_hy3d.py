"""An import of HY3D-Bench writes meshes and a manifest with their splits, whatever else the tar files hold."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

import small_run
from lagem.cli import main
from lagem.geometry.files.loading import load_mesh
from lagem.importing import hy3d
from lagem.importing.hy3d import import_hy3d
from lagem.preparation import pipeline
from preparation_here import run_in_this_process
from releases import npz, save_tar, toy_meshes

FEW = ["--surface", "2500", "--volume", "2000", "--near", "1000", "--inside", "200"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hy3d, "run_in_processes", run_in_this_process)
    monkeypatch.setattr(pipeline, "run_in_processes", run_in_this_process)


def ply(name: str, folder: Path) -> bytes:
    """Return the content of a ply file of a toy mesh."""
    toy_meshes()[name].save(folder / "toy.ply")
    return (folder / "toy.ply").read_bytes()


def save_points(chunk: Path, ids: list[str]) -> None:
    """Write the `sample_points` of a chunk of full-level data.

    This makes three tar files: one holds metadata, and each of the other two holds 1,024 points of each shape.
    """
    keys = {id: f"{chunk.name}_{id}" for id in ids}
    metadata = {f"{key}.metadata.json": f'{{"uid": "{id}", "key": "{key}"}}'.encode() for id, key in keys.items()}
    save_tar(chunk / f"{chunk.name}_metadata.tar", metadata)  # type: ignore[arg-type]
    points = io.BytesIO()
    np.save(points, np.zeros((1024, 6), np.float16))
    for tar, name in (("surface_000", "random_surface"), ("sharpedge_surface_000", "sharpedge_surface")):
        members = {f"{key}.{name}.npy": points.getvalue() for key in keys.values()}
        save_tar(chunk / f"{chunk.name}_{tar}.tar", members)  # type: ignore[arg-type]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def refused_of(output: Path) -> dict[str, str]:
    return {row["file"]: row["reason"] for row in rows_of(output / "refused.csv")}


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Part-level data: two tar files of meshes and one of images.

    Each npz file of meshes holds a whole object, and most hold its parts too.
    """
    root = tmp_path / "part"
    ring, slab = ply("ring", tmp_path), ply("slab", tmp_path)
    legs = npz(part_0=ring, part_1=slab, full=ply("legs", tmp_path))
    save_tar(root / "meshes" / "00.tar.gz", {"00/aa.npz": npz(full=ring, part_0=slab), "00/bb.npz": legs})
    save_tar(root / "meshes" / "01.tar.gz", {"01/cc.npz": npz(full=slab)})
    save_tar(root / "images" / "00.tar.gz", {"00/aa.npz": npz(image=b"png")})
    return root


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """Full-level data, with meshes stored in each way that can be read: in tar files or folders, as ply or npz."""
    root = tmp_path / "full"
    for split, ids in (("train", ["t0", "t1"]), ("val", ["v0"]), ("test", ["e0"])):
        save_points(root / split / "sample_points" / "chunk_0001", ids)
        (root / split / "images" / "chunk_0001").mkdir(parents=True)
        (root / split / "images" / "chunk_0001" / f"{ids[0]}_vc_render.npz").write_bytes(npz(image=b"png"))
    save_tar(
        root / "train" / "water_tight_meshes" / "chunk_0001.tar",
        {"chunk_0001/t0.ply": ply("ring", tmp_path), "chunk_0001/t1.npz": npz(full=ply("slab", tmp_path))},
    )
    for split, file, data in (
        ("val", "v0.ply", ply("bumpy", tmp_path)),
        ("test", "e0.npz", npz(full=ply("legs", tmp_path))),
    ):
        folder = root / split / "water_tight_meshes" / "chunk_0001"
        folder.mkdir(parents=True)
        (folder / file).write_bytes(data)
    return root


@pytest.mark.usefixtures("here")
def test_the_whole_object_of_each_npz_file_is_imported(part: Path, tmp_path: Path):
    output = tmp_path / "out"
    text = import_hy3d(part, output)
    assert "3 meshes are imported (3 without a split), 0 files refused" in text
    assert [(row["id"], row["category"], row["split"]) for row in rows_of(output / "manifest.csv")] == [
        (id, "hy3d", "") for id in ("aa", "bb", "cc")
    ]
    for row, name in zip(rows_of(output / "manifest.csv"), ("ring", "legs", "slab"), strict=True):
        mesh, toy = load_mesh(output / row["file"]), toy_meshes()[name]
        assert mesh.area == pytest.approx(toy.area)
        np.testing.assert_allclose(mesh.vertices.min(axis=0), toy.vertices.min(axis=0))
    assert refused_of(output) == {}


@pytest.mark.usefixtures("here")
def test_splits_are_those_of_the_release(full: Path, tmp_path: Path):
    import_hy3d(full, tmp_path / "out")
    assert {row["id"]: row["split"] for row in rows_of(tmp_path / "out" / "manifest.csv")} == {
        "t0": "train",
        "t1": "train",
        "v0": "val",
        "e0": "test",
    }
    assert refused_of(tmp_path / "out") == {}


@pytest.mark.usefixtures("here")
def test_one_split_and_one_tar_file_can_be_imported(full: Path, part: Path, tmp_path: Path):
    import_hy3d(full / "val", tmp_path / "val")
    assert [(row["id"], row["split"]) for row in rows_of(tmp_path / "val" / "manifest.csv")] == [("v0", "val")]
    import_hy3d(part / "meshes" / "01.tar.gz", tmp_path / "one")
    assert [row["id"] for row in rows_of(tmp_path / "one" / "manifest.csv")] == ["cc"]


@pytest.mark.usefixtures("here")
def test_points_without_meshes_are_refused_because_they_have_no_labels(full: Path, tmp_path: Path):
    for source in (full / "train" / "sample_points", full / "train" / "sample_points" / "chunk_0001"):
        with pytest.raises(ValueError, match="have no labels"):
            import_hy3d(source, tmp_path / "out")


def test_child_processes_and_a_second_call_give_the_same_files(part: Path, full: Path, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hy3d, "run_in_processes", run_in_this_process)
        import_hy3d(part, tmp_path / "here")
    import_hy3d(part, tmp_path / "out", workers=2)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == expected
    (tmp_path / "out" / "meshes" / "bb.ply").unlink()
    (tmp_path / "out" / "manifest.csv").unlink()
    written = (tmp_path / "out" / "meshes" / "aa.ply").stat().st_mtime_ns
    import_hy3d(part, tmp_path / "out", workers=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == expected
    assert (tmp_path / "out" / "meshes" / "aa.ply").stat().st_mtime_ns == written


@pytest.mark.usefixtures("here")
def test_an_import_can_be_prepared_trained_on_and_evaluated(full: Path, tmp_path: Path):
    output, data, scores = tmp_path / "out", tmp_path / "data", tmp_path / "scores"
    main(["import", "hy3d", str(full), "--output", str(output)])
    main(["prepare", str(output / "manifest.csv"), "--up", "y", "--output", str(data), *FEW])
    main(small_run.fit_on_prepared(data, tmp_path / "run", steps=1))
    (checkpoint, *_) = (tmp_path / "run").rglob("last.ckpt")
    sizes = ["--resolution", "16", "--points", "500"]
    main(["evaluate", str(checkpoint), str(data), "--split", "test", "--output", str(scores), *sizes])
    assert "e0" in next(scores.rglob("*.csv")).read_text()


@pytest.mark.usefixtures("here")
def test_hostile_members_are_refused_and_the_others_imported(tmp_path: Path):
    ring, outside = ply("ring", tmp_path), tmp_path / "outside.ply"
    members: dict[str, bytes | str] = {
        "../../../outside.ply": ring,  # an id is only a file's name, so this is the mesh `outside`
        f"{tmp_path}/absolute.ply": ring,
        "00/link.npz": "/etc/passwd",
        "00/words.npz": b"words",
        "00/parts.npz": npz(part_0=ring),
        "00/empty.npz": npz(full=b""),
        "00/cut.npz": npz(full=ring[: len(ring) // 2]),
        "00/floats.npz": _npz_of_floats(),
        f"00/{'n' * 220}.ply": ring,
        "00/a\nb.ply": ring,
        "00/again.ply": ring,
        "01/again.npz": npz(full=ring),
        "00/._good.npz": b"resource fork",
        "00": b"",
        ".": b"",
        "": b"",
        "00/read.me": b"text",
        "00/good.npz": npz(full=ring),
    }
    save_tar(tmp_path / "source" / "00.tar.gz", members)
    import_hy3d(tmp_path / "source", tmp_path / "out")
    ids = [row["id"] for row in rows_of(tmp_path / "out" / "manifest.csv")]
    assert ids == ["absolute", "again", "good", "outside"]
    assert sorted(path.stem for path in (tmp_path / "out" / "meshes").iterdir()) == ids
    assert not outside.exists() and not (tmp_path / "absolute.ply").exists()
    refused = {place.split(": ", 1)[1]: reason for place, reason in refused_of(tmp_path / "out").items()}
    assert refused.pop("00/link.npz") == "is a link, not a file"
    assert "not a zip file" in refused.pop("00/words.npz")
    assert "no array 'full.ply', only part_0.ply" in refused.pop("00/parts.npz")
    assert refused.pop("00/empty.npz").startswith("full.ply: ")
    assert refused.pop("00/cut.npz").startswith("full.ply: ")
    assert "must hold the bytes of a ply file" in refused.pop("00/floats.npz")
    assert "already" in refused.pop("01/again.npz")
    assert set(refused.values()) == {"its name cannot be an id"} and len(refused) == 2


def _npz_of_floats() -> bytes:
    content = io.BytesIO()
    np.savez(content, **{"full.ply": np.zeros(9)})  # type: ignore[arg-type]
    return content.getvalue()


@pytest.mark.usefixtures("here")
def test_a_damaged_tar_file_is_refused_and_its_first_meshes_and_the_other_files_are_imported(
    part: Path, tmp_path: Path
):
    (part / "meshes" / "00.tar.gz").unlink()
    path = part / "meshes" / "00.tar"
    save_tar(path, {"00/aa.npz": npz(full=ply("ring", tmp_path)), "00/bb.ply": b"x" * 5000})
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"x" * 5000) + 100])
    import_hy3d(part, tmp_path / "out")
    assert [row["id"] for row in rows_of(tmp_path / "out" / "manifest.csv")] == ["aa", "cc"]
    (reason,) = refused_of(tmp_path / "out").values()
    assert "it ends in the middle" in reason and "fetch the file again" in reason


@pytest.mark.usefixtures("here")
def test_a_member_that_is_too_large_is_not_unpacked(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hy3d, "MOST_BYTES", len(npz(full=ply("slab", tmp_path))))
    import_hy3d(part, tmp_path / "out")
    assert [row["id"] for row in rows_of(tmp_path / "out" / "manifest.csv")] == ["cc"]
    assert all("are read" in reason for reason in refused_of(tmp_path / "out").values())


@pytest.mark.usefixtures("here")
def test_no_mesh_is_written_through_a_link(part: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "meshes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="symbolic link"):
        import_hy3d(part, tmp_path / "out")
    assert not list((tmp_path / "elsewhere").iterdir())
