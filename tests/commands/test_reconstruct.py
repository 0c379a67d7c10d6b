"""`lagem reconstruct` with a network whose field is known: inside everywhere, so its surface is the box [-1, 1]^3."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import bad_readers
from lagem.cli import main
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.levels import LevelSpec
from lagem.models.autoencoder import Autoencoder
from lagem.sources import reading
from lagem.storage.atomic import check_folder
from lagem.weights.autoencoder import save_autoencoder

FACES = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
         [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
CORNERS = np.array([[x, y, z] for x in (5, 9.0) for y in (-1, 1.0) for z in (0, 3.0)])


@pytest.fixture
def box(tmp_path):
    Mesh(vertices=CORNERS, faces=np.array(FACES)).save(tmp_path / "box.obj")
    return tmp_path / "box.obj"


def weights(tmp_path, logit: float):
    autoencoder = Autoencoder(levels=[LevelSpec(8, 4, depth=0)], width=64)
    torch.nn.init.zeros_(autoencoder.to_logits.weight)
    torch.nn.init.constant_(autoencoder.to_logits.bias, logit)
    save_autoencoder(autoencoder, tmp_path / "weights.safetensors", num_surface_points=64)
    return tmp_path / "weights.safetensors"


def reconstruct(tmp_path, logit, *words) -> None:
    output = ["--output", str(tmp_path / "out"), "--resolution", "16", "--points", "2000"]
    main(["reconstruct", *map(str, words), "--weights", str(weights(tmp_path, logit)), *output])


def assert_covers_the_frame(path) -> None:
    frame = Frame.of(CORNERS)
    mesh = load_mesh(path)
    expected = frame.to_source(np.array([[-1, -1, -1], [1, 1, 1.0]]))
    found = np.array([mesh.vertices.min(0), mesh.vertices.max(0)])
    assert np.abs(found - expected).max() < 0.5 * (2 / 16) / frame.scale


def test_the_mesh_is_in_the_coordinates_of_the_input(tmp_path, box):
    reconstruct(tmp_path, 1.0, box)
    assert_covers_the_frame(tmp_path / "out" / "box.ply")
    assert (tmp_path / "out" / "picture.png").is_file()


def test_a_file_that_crashes_the_reader_costs_itself_only(tmp_path, box, capsys, monkeypatch):
    monkeypatch.setattr(reading, "load_surface", bad_readers.crash_on_bad)
    (bad := tmp_path / "bad.obj").write_bytes(box.read_bytes())
    reconstruct(tmp_path, 1.0, bad, box)
    assert "bad.obj: the worker process died (signal SIGSEGV) while the file was read" in capsys.readouterr().out
    assert_covers_the_frame(tmp_path / "out" / "box.ply")


def test_point_clouds_are_accepted(tmp_path):
    rng = np.random.default_rng(0)
    cloud = np.concatenate([CORNERS, rng.uniform(CORNERS.min(0), CORNERS.max(0), (500, 3))])
    np.savetxt(tmp_path / "cloud.xyz", cloud)
    np.save(tmp_path / "array.npy", cloud)
    reconstruct(tmp_path, 1.0, tmp_path / "cloud.xyz", tmp_path / "array.npy")
    assert_covers_the_frame(tmp_path / "out" / "cloud.ply")
    assert_covers_the_frame(tmp_path / "out" / "array.ply")


def covered_by(corners) -> np.ndarray:
    """Return the bounds of the box that the network decodes for a shape with these corners.

    The bounds are in the coordinates of the shape.
    """
    return Frame.of(corners).to_source(np.array([[-1, -1, -1], [1, 1, 1.0]]))


@pytest.mark.parametrize("up", ["z", "y"])
def test_a_glb_of_another_format_stands_by_the_axis_that_is_given(tmp_path, box, up):
    reconstruct(tmp_path, 1.0, box, "--format", "glb", "--up", up)
    x, y, z = CORNERS.T
    expected = covered_by(CORNERS if up == "y" else np.stack([x, z, -y], axis=1))
    found = trimesh.load_scene(tmp_path / "out" / "box.glb").to_mesh().bounds
    assert np.abs(found - expected).max() < 0.5


@pytest.mark.parametrize("up", ["z", "y"])
def test_a_glb_of_a_glb_stands_as_that_did_whatever_is_given(tmp_path, up):
    (tmp_path / "in").mkdir()
    Mesh(vertices=CORNERS, faces=np.array(FACES)).save(tmp_path / "in" / "box.glb")
    reconstruct(tmp_path, 1.0, tmp_path / "in" / "box.glb", "--format", "glb", "--up", up)
    source = trimesh.load_scene(tmp_path / "in" / "box.glb").to_mesh()
    found = trimesh.load_scene(tmp_path / "out" / "box.glb").to_mesh()
    assert np.abs(found.bounds - covered_by(source.vertices)).max() < 0.5


def test_a_glb_far_from_the_origin_is_where_the_ply_is(tmp_path):
    far = Path(__file__).parents[1] / "data" / "cases" / "far-coordinates-out" / "box_utm.obj"
    for ending in ("ply", "glb"):
        reconstruct(tmp_path, 1.0, far, "--format", ending)
    ply, glb = (load_mesh(tmp_path / "out" / f"box_utm.{ending}") for ending in ("ply", "glb"))
    for mesh, bounds in ((ply, covered_by(load_mesh(far).vertices)), (glb.turned("z"), ply.vertices)):
        assert np.abs(mesh.vertices.min(axis=0) - bounds.min(axis=0)).max() < (0.5 if mesh is ply else 1e-6)
    assert len(glb.vertices) == len(ply.vertices)


def test_scores_are_printed_and_written_beside_the_sampling_floor(tmp_path, box, capsys):
    reconstruct(tmp_path, 1.0, box)
    with (tmp_path / "out" / "scores.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["chamfer"]) > float(row["sampling_floor"]) > 0
    printed = capsys.readouterr().out
    assert f"Chamfer x100 {100 * float(row['chamfer']):.2f}" in printed and "sampling floor" in printed


def test_a_bad_file_is_listed_with_its_reason_and_stops_nothing(tmp_path, box):
    (tmp_path / "broken.obj").write_text("v 0 0 zero\n")
    reconstruct(tmp_path, 1.0, tmp_path / "broken.obj", tmp_path / "absent.ply", box)
    with (tmp_path / "out" / "scores.csv").open() as file:
        reasons = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons["box"] == "" and "broken.obj" in reasons["broken"] and "absent.ply" in reasons["absent"]


def test_nothing_reconstructed_is_an_error_in_one_line(tmp_path, box, capsys):
    with pytest.raises(SystemExit) as stop:
        reconstruct(tmp_path, -1.0, box)
    printed = capsys.readouterr()
    assert stop.value.code == 2 and "no node of the" in printed.out
    assert printed.err.count("\n") == 1 and "none of 1 files could be reconstructed" in printed.err


def test_two_files_of_one_name_are_refused_before_any_work(tmp_path, box, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "box.ply").write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        reconstruct(tmp_path, 1.0, box, tmp_path / "other" / "box.ply")
    assert stop.value.code == 2
    assert "would both be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("--surface-points", "0", "0 surface points"),
        ("--resolution", "-3", "resolution -3"),
        ("--points", "0", "0 points"),
    ],
)
def test_numbers_that_reconstruct_nothing_are_refused_before_any_work(tmp_path, box, capsys, option, value, found):
    with pytest.raises(SystemExit) as stop:
        main(["reconstruct", str(box), "--output", str(tmp_path / "out"), option, value])
    assert stop.value.code == 2 and found in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "expected"), [("folder", "is a folder"), ("notes.txt", "meshes and point clouds are read from .obj")]
)
def test_what_is_no_file_of_a_shape_is_said(tmp_path, box, capsys, name, expected):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("no mesh")
    with pytest.raises(SystemExit) as stop:
        reconstruct(tmp_path, 1.0, tmp_path / name)
    printed = capsys.readouterr().out
    assert stop.value.code == 2 and expected in printed
    assert f"scores.csv is in {tmp_path / 'out'}" in printed


def test_the_points_of_the_score_are_as_many_as_asked_for(tmp_path, box):
    floors = []
    for points in (1000, 4000):
        output = ["--output", str(tmp_path / f"{points}"), "--resolution", "16", "--points", str(points)]
        main(["reconstruct", str(box), "--weights", str(weights(tmp_path, 1.0)), *output])
        with (tmp_path / f"{points}" / "scores.csv").open() as file:
            floors += [float(row["sampling_floor"]) for row in csv.DictReader(file)]
    assert floors[0] == pytest.approx(2 * floors[1], rel=0.01), "it falls with the root of the number"


@pytest.mark.parametrize("verb", ["reconstruct", "generate", "vary"])
@pytest.mark.parametrize("output", ["file", "file/below", "link"])
def test_an_output_that_cannot_be_a_folder_is_one_line_before_any_work(tmp_path, capsys, verb, output):
    """The inputs do not exist, but the error is about the output, which is checked first."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    inputs = ["absent.ply", "--weights", "absent.ckpt"] if verb == "reconstruct" else ["absent_bundle"]
    with pytest.raises(SystemExit) as stop:
        main([verb, *inputs, "--output", str(tmp_path / output)])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"lagem: error: {tmp_path / output}: results cannot be written there")


def test_an_output_below_a_folder_without_write_access_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ValueError, match=f"since {tmp_path} is not writable"):
        check_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()
