"""Reducing a mesh by a grid leaves no more faces than asked for, and a simple shape keeps its form."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.mesh import Mesh
from lagem.reports.page.clustering import clustered


def mesh_of(made: trimesh.Trimesh) -> Mesh:
    return Mesh(made.vertices, made.faces)


@pytest.mark.parametrize("most", [1, 20, 500, 5_000])
def test_no_more_faces_are_left_than_asked_for(most):
    soup = Mesh(np.random.default_rng(0).random((3_000, 3)), np.arange(3_000).reshape(-1, 3))
    for mesh in (mesh_of(trimesh.creation.icosphere(5)), mesh_of(trimesh.creation.torus(1, 0.3)), soup):
        assert len(clustered(mesh, most).faces) <= most


def test_a_mesh_with_few_faces_is_unchanged():
    mesh = mesh_of(trimesh.creation.box((1, 2, 3)))
    assert clustered(mesh, 12) is mesh


def test_every_vertex_of_the_result_is_used():
    reduced = clustered(mesh_of(trimesh.creation.icosphere(5)), 2_000)
    assert sorted(np.unique(reduced.faces)) == list(range(len(reduced.vertices)))


def test_a_sphere_stays_a_sphere():
    reduced = clustered(mesh_of(trimesh.creation.icosphere(6)), 5_000)
    assert len(reduced.faces) > 2_500
    np.testing.assert_allclose(np.linalg.norm(reduced.vertices, axis=1), 1, atol=0.01)
    assert reduced.signed_volume == pytest.approx(4 / 3 * np.pi, rel=0.01)


def test_edges_and_corners_of_a_finely_divided_box_stay_sharp():
    made = trimesh.creation.box((1, 2, 3))
    for _ in range(5):
        made = made.subdivide()
    reduced = clustered(mesh_of(made), 2_000)
    low, high = reduced.vertices.min(axis=0), reduced.vertices.max(axis=0)
    np.testing.assert_allclose([low, high], [[-0.5, -1, -1.5], [0.5, 1, 1.5]], atol=0.01)
    to_sides = np.abs(np.abs(reduced.vertices) - [0.5, 1, 1.5]).min(axis=1)
    assert to_sides.max() < 0.01 and reduced.area == pytest.approx(22, rel=0.01)


def test_place_and_size_do_not_matter():
    mesh = mesh_of(trimesh.creation.icosphere(5))
    moved = Mesh(mesh.vertices * 1e-3 + 0.5, mesh.faces, up="y")
    reduced = clustered(moved, 2_000)
    assert reduced.up == "y"
    np.testing.assert_allclose((reduced.vertices - 0.5) * 1e3, clustered(mesh, 2_000).vertices, atol=0.05)
