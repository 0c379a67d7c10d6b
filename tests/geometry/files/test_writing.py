"""A saved mesh is read back completely, and as accurately as the format allows."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh

from lagem.geometry.boundary import open_edges
from lagem.geometry.files.loading import load_mesh
from lagem.geometry.mesh import Mesh


@pytest.mark.parametrize("ending", [".ply", ".glb", ".obj", ".stl", ".off", ".PLY"])
def test_saved_mesh_comes_back(ending, sphere, tmp_path):
    path = tmp_path / "new" / f"ball{ending}"
    sphere.save(path)
    back = load_mesh(path)
    assert open_edges(back) == 0
    assert len(back.faces) == len(sphere.faces)
    assert back.area == pytest.approx(sphere.area, rel=1e-6)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_ply_keeps_every_bit(sphere, tmp_path):
    far = Mesh(sphere.vertices / 3 + 1e5, sphere.faces)
    far.save(tmp_path / "far.ply")
    back = load_mesh(tmp_path / "far.ply")
    np.testing.assert_array_equal(back.vertices[back.faces], far.vertices[far.faces])


@pytest.mark.parametrize("ending", [".ply", ".glb", ".obj", ".off"])
@pytest.mark.parametrize(("size", "place"), [(1, 5e6), (1e-6, 0), (1e-6, 1e-3), (1e6, -1e9)])
def test_saving_keeps_small_and_far_meshes(ending, size, place, sphere, tmp_path):
    mesh = Mesh(sphere.vertices * size + place, sphere.faces)
    path = tmp_path / f"mesh{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mesh.save(path)
    back = load_mesh(path).turned("z")
    moved = np.abs(back.vertices[back.faces] - mesh.vertices[mesh.faces]).max()
    assert moved <= (1e-7 * size if ending == ".glb" else 0)


@pytest.mark.parametrize("ending", [".glb", ".stl"])
def test_other_programs_read_what_is_saved(ending, sphere, tmp_path):
    path = tmp_path / f"ball{ending}"
    Mesh(sphere.vertices + np.array([100, 20, 3]), sphere.faces, up="y").save(path)
    found = trimesh.load(path, force="mesh")
    assert found.area == pytest.approx(sphere.area, rel=1e-4)
    assert found.volume == pytest.approx(sphere.signed_volume, rel=1e-4)
    np.testing.assert_allclose(found.bounds.mean(axis=0), [100, 20, 3], atol=1e-4)


def test_an_stl_that_loses_accuracy_is_warned_of(sphere, tmp_path):
    path = tmp_path / "far.stl"
    with pytest.warns(UserWarning, match=r"far\.stl: \.stl stores float32, .* by up to .* of the mesh's extent"):
        Mesh(sphere.vertices + 5e6, sphere.faces).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Mesh(sphere.vertices + 100, sphere.faces).save(path)


@pytest.mark.parametrize("ending", [".glb", ".stl"])
def test_coordinates_beyond_float32_are_refused(ending, sphere, tmp_path):
    with pytest.raises(ValueError, match="cannot hold the mesh's coordinates"):
        Mesh(sphere.vertices * 1e39, sphere.faces).save(tmp_path / f"vast{ending}")
    assert list(tmp_path.iterdir()) == []


def test_failed_save_leaves_the_old_file_alone(cube, tmp_path, monkeypatch):
    path = tmp_path / "mesh.obj"
    path.write_text("old")
    monkeypatch.setattr(Path, "write_bytes", lambda self, content: (self.write_text("half"), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        cube.save(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_saving_under_an_unknown_ending_names_the_known(cube, tmp_path):
    with pytest.raises(ValueError, match=r"mesh\.gltf: .*\.ply, \.glb"):
        cube.save(tmp_path / "mesh.gltf")
