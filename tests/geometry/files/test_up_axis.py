"""glTF is y-up: a mesh saved as glb stands upright in other programs, and `lagem` reads its y-up coordinates."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.components import with_fewer_faces
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.files.writing import as_glb
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh

CASE = Path(__file__).resolve().parents[2] / "data" / "cases" / "far-coordinates-out" / "box_utm.obj"
FAR = np.array([448_000.0, 5_411_000, 130])


def box(corner=(0.0, 0, 0)) -> Mesh:
    """Return a box of 1 x 2 x 3 with the given lowest corner."""
    made = trimesh.creation.box(bounds=np.array([[0, 0, 0], [1, 2, 3]]))
    return Mesh(made.vertices + np.array(corner), made.faces)


def cone(up: str) -> Mesh:
    """Return a cone of height 2 and radius 1 with its tip up."""
    made = trimesh.creation.cone(radius=1, height=2)
    x, y, z = made.vertices.T
    return Mesh(np.stack((x, y, z) if up == "z" else (x, z, -y), axis=1), made.faces, up=up)


def in_a_viewer(path: Path) -> trimesh.Trimesh:
    """Return the geometry of a file's scene as trimesh reads it, placed by the scene's nodes."""
    return trimesh.load_scene(path).to_mesh()


@pytest.mark.parametrize("corner", [(0, 0, 0), (5, -7, 11), tuple(FAR)], ids=["origin", "near", "far"])
def test_a_box_with_z_up_stands_and_is_where_it_was(corner, tmp_path):
    box(corner).save(tmp_path / "box.glb")
    low, high = in_a_viewer(tmp_path / "box.glb").bounds
    x, y, z = corner
    np.testing.assert_allclose(low, [x, z, -y - 2], atol=1e-6)
    np.testing.assert_allclose(high, [x + 1, z + 3, -y], atol=1e-6)


@pytest.mark.parametrize("corner", [(5, -7, 11), tuple(FAR)], ids=["near", "far"])
def test_a_box_with_y_up_is_not_turned(corner, tmp_path):
    box(corner).save(tmp_path / "box.glb", up="y")
    low, high = in_a_viewer(tmp_path / "box.glb").bounds
    np.testing.assert_allclose(low, corner, atol=1e-6)
    np.testing.assert_allclose(high, np.add(corner, [1, 2, 3]), atol=1e-6)


@pytest.mark.parametrize("up", ["y", "z"])
def test_a_cone_stands_on_its_base_with_its_volume(up, tmp_path):
    cone(up).save(tmp_path / "cone.glb")
    found = in_a_viewer(tmp_path / "cone.glb")
    heights = found.vertices[:, 1]
    np.testing.assert_allclose(found.vertices[heights.argmax()], [0, 2, 0], atol=1e-6)
    assert np.sum(np.abs(heights) < 1e-6) >= len(heights) - 1, "all but the tip lie in the base"
    assert found.volume == pytest.approx(cone(up).signed_volume, rel=1e-6), "turned, not mirrored"


@pytest.mark.parametrize("corner", [(0, 0, 0), tuple(FAR)], ids=["origin", "far"])
def test_a_glb_is_read_as_it_stands_and_turns_back_to_what_was_saved(corner, tmp_path):
    mesh = box(corner)
    mesh.save(tmp_path / "box.glb")
    back = load_mesh(tmp_path / "box.glb")
    assert back.up == "y"
    np.testing.assert_allclose(back.vertices.min(axis=0), in_a_viewer(tmp_path / "box.glb").bounds[0], atol=1e-6)
    found = back.turned("z")
    assert sorted(map(tuple, found.vertices.round(6))) == sorted(map(tuple, mesh.vertices.round(6)))
    assert found.signed_volume == pytest.approx(6)


def test_a_glb_that_is_read_and_saved_again_stands_as_before(tmp_path):
    cone("z").save(tmp_path / "first.glb")
    load_mesh(tmp_path / "first.glb").save(tmp_path / "second.glb")
    first, second = (in_a_viewer(tmp_path / f"{name}.glb") for name in ("first", "second"))
    np.testing.assert_allclose(first.bounds, second.bounds, atol=1e-6)


@pytest.mark.parametrize("ending", [".ply", ".obj", ".off", ".stl"])
def test_other_formats_keep_the_coordinates_whatever_points_up(ending, tmp_path):
    for up in ("y", "z"):
        box((5, -7, 11)).save(tmp_path / f"box{ending}", up=up)
        back = load_mesh(tmp_path / f"box{ending}", up=up)
        assert back.up == up
        np.testing.assert_array_equal(back.vertices.min(axis=0), [5, -7, 11])
        np.testing.assert_array_equal(back.vertices.max(axis=0), [6, -5, 14])


def test_turning_there_and_back_changes_no_bit():
    mesh = box((0.1, -0.2, 0.3))
    there = mesh.turned("y")
    assert there.up == "y" and there.turned("y") is there
    np.testing.assert_array_equal(there.turned("z").vertices, mesh.vertices)
    np.testing.assert_allclose(there.vertices.max(axis=0), [1.1, 3.3, 0.2])


def test_what_is_made_of_a_mesh_has_its_axis():
    mesh = cone("y")
    frame = Frame.of(mesh.vertices)
    made = [
        mesh.in_frame(frame),
        mesh.in_source(frame),
        mesh.with_faces(mesh.faces[:, 0] > 1),
        with_fewer_faces(mesh, 9),
    ]
    assert [other.up for other in made] == ["y"] * 4


def test_an_axis_that_is_none_is_refused():
    with pytest.raises(ValueError, match="up axis is y or z, but 'x' was given"):
        Mesh(np.eye(3), np.array([[0, 1, 2]]), up="x")


def test_the_far_case_keeps_its_bounds_in_every_format_or_warns(tmp_path):
    mesh = load_mesh(CASE)
    for ending in (".ply", ".glb", ".obj", ".off"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mesh.save(tmp_path / f"box{ending}")
        back = load_mesh(tmp_path / f"box{ending}").turned("z")
        np.testing.assert_allclose(back.vertices.min(axis=0), mesh.vertices.min(axis=0), rtol=0, atol=1e-6)
    with pytest.warns(UserWarning, match=r"\.stl stores float32"):
        mesh.save(tmp_path / "box.stl")


def test_a_mesh_without_vertices_is_a_node_too():
    assert as_glb(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)).startswith(b"glTF")
