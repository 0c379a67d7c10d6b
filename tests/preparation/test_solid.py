"""A mesh keeps its own surface or is converted, depending on what it encloses."""

import sys

import numpy as np
import pytest
import trimesh

from lagem.geometry.boundary import open_edges
from lagem.geometry.files.errors import MeshError
from lagem.geometry.mesh import Mesh
from lagem.preparation.solid import Solid, require_manifold, solid_of


def solid(mesh: Mesh, conversion: str = "flood") -> Solid:
    return solid_of(mesh, conversion=conversion, resolution=96, thickness=0.03, rng=np.random.default_rng(0))


def test_a_closed_mesh_keeps_its_own_surface(box):
    found = solid(box)
    assert (found.route, found.error_mean, found.sheet_share) == ("own", 0, 0)
    np.testing.assert_allclose(found.frame.to_source(found.mesh.vertices), box.vertices)


def test_an_open_mesh_is_converted_and_its_error_measured(box):
    found = solid(Mesh(box.vertices, box.faces[:-2]))
    assert found.route == "flood" and open_edges(found.mesh) == 0
    assert 0 < found.error_mean < 0.003 and found.error_mean < found.error_p99 < 0.02


def test_a_converted_mesh_is_centred_in_the_unit_sphere_and_leads_back(box):
    found = solid(Mesh(box.vertices, box.faces[:-2]))
    assert np.linalg.norm(found.mesh.vertices, axis=1).max() == pytest.approx(1)
    assert np.abs(found.mesh.vertices.min(axis=0) + found.mesh.vertices.max(axis=0)).max() < 1e-9
    back = found.frame.to_source(found.mesh.vertices)
    for side in (np.min, np.max):
        np.testing.assert_allclose(side(back, axis=0), side(box.vertices, axis=0), atol=0.04 / found.frame.scale)


def test_occupancy_of_a_converted_mesh_is_in_its_own_frame(box):
    found = solid(Mesh(box.vertices, box.faces[:-2]))
    points, face = trimesh.sample.sample_surface(trimesh.Trimesh(found.mesh.vertices, found.mesh.faces), 500, seed=0)
    normals = found.mesh.normals_and_areas()[0][face]
    assert found.inside(points - 1e-3 * normals).mean() > 0.99
    assert found.inside(points + 1e-3 * normals).mean() < 0.05  # plates overlap where they meet in a corner


def test_a_mesh_whose_faces_are_all_doubled_is_converted(sphere):
    both = Mesh(sphere.vertices, np.concatenate([sphere.faces, sphere.faces[:, ::-1]]))
    found = solid(both)
    assert found.route == "flood"
    volume = found.mesh.signed_volume * (1 / found.frame.scale / 0.01) ** 3
    assert volume == pytest.approx(4 / 3 * np.pi, rel=0.05)


def test_a_closed_mesh_with_an_open_sheet_beside_it_is_converted(sphere):
    corners = np.array([[0.02, 0, 0], [0.05, 0, 0], [0.02, 0.03, 0]])
    flag = np.array([[0, 1, 2], [0, 2, 1]]) + len(sphere.vertices)  # seen from both sides, so no edge is open
    found = solid(Mesh(np.concatenate([sphere.vertices, corners]), np.concatenate([sphere.faces, flag])))
    assert found.route == "flood" and found.sheet_share > 0


def test_a_few_doubled_faces_within_a_solid_do_not_matter(sphere):
    corners = np.array([[0, 0, 0], [0.001, 0, 0], [0, 0.001, 0]])
    flag = np.array([[0, 1, 2], [0, 2, 1]]) + len(sphere.vertices)
    found = solid(Mesh(np.concatenate([sphere.vertices, corners]), np.concatenate([sphere.faces, flag])))
    assert found.route == "own" and len(found.mesh.faces) == len(sphere.faces)


def test_boxes_on_one_footprint_keep_their_own_surface():
    """The bottom faces of the two boxes coincide. If they were merged into one, one box would have no bottom."""
    low, high = (trimesh.creation.box(bounds=[[0, 0, 0], [1, 1, top]]) for top in (1, 2))
    both = trimesh.util.concatenate([low, high])
    both.merge_vertices()
    mesh = Mesh(both.vertices, both.faces)
    found = solid(mesh)
    assert found.route == "own"
    asked = found.frame.to_unit(np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.5], [0.5, 0.5, 2.1], [0.5, 0.5, -0.1]]))
    assert found.inside(asked).tolist() == [True, True, False, False]


def test_what_is_left_out_of_an_own_surface_is_recorded(sphere):
    fin = np.array([[0, 0, 0], [0.002, 0, 0], [0, 0.002, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 1]]) + len(sphere.vertices)
    found = solid(Mesh(np.concatenate([sphere.vertices, fin]), np.concatenate([sphere.faces, faces])))
    assert found.route == "own" and found.left_out == pytest.approx(2e-6 / sphere.area, rel=0.01)


def test_manifold_without_its_package_is_said_once_and_plainly(monkeypatch):
    monkeypatch.setitem(sys.modules, "point_cloud_utils", None)
    with pytest.raises(ValueError, match=r"needs point-cloud-utils .*pip install 'lagem\[manifold\]'"):
        require_manifold()


@pytest.mark.slow
def test_manifold_converts_too(box):
    found = solid(Mesh(box.vertices, box.faces[:-2]), "manifold")
    assert found.route == "manifold" and open_edges(found.mesh) == 0 and found.error_p99 < 0.03


def test_a_sheet_is_a_solid_of_its_thickness():
    found = solid(Mesh(np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]]), np.array([[0, 1, 2]])))
    assert found.route == "flood"
    assert found.mesh.signed_volume == pytest.approx(0.03 * found.mesh.area / 2, rel=0.1)


def test_switched_off_conversion_names_the_reason_and_the_option(sphere):
    with pytest.raises(MeshError, match=r"edges are open .*; conversion is switched off"):
        solid(Mesh(sphere.vertices, sphere.faces[1:]), "none")
