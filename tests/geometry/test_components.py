"""Meshes that are reduced to fewer faces stay closed and keep their shape."""

import numpy as np
import pytest

from lagem.geometry.boundary import open_edges
from lagem.geometry.components import largest_part, with_fewer_faces
from lagem.geometry.mesh import Mesh


def moved(mesh: Mesh, by: float, scale: float) -> Mesh:
    return Mesh(mesh.vertices * scale + [by, 0, 0], mesh.faces)


def union(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def test_the_largest_part_is_the_one_of_most_area_not_of_most_faces(sphere, cube):
    large = moved(cube, 5, 1.0)
    kept = largest_part(union(moved(sphere, 0, 0.1), large))
    np.testing.assert_array_equal(np.sort(kept.vertices, axis=0), np.sort(large.vertices, axis=0))
    assert kept.signed_volume == pytest.approx(8)


def test_fewer_faces_are_as_many_as_asked_closed_and_near_the_surface(sphere):
    reduced = with_fewer_faces(sphere, 500)
    assert len(reduced.faces) == 500
    assert open_edges(reduced) == 0
    assert np.abs(np.linalg.norm(reduced.vertices, axis=1) - 1).max() < 0.01
    assert reduced.signed_volume == pytest.approx(sphere.signed_volume, rel=0.02)


def test_every_part_stays(sphere):
    reduced = with_fewer_faces(union(sphere, moved(sphere, 3, 0.1)), 8)
    assert reduced.vertices[:, 0].max() > 2.9
    assert open_edges(reduced) == 0


def test_a_mesh_of_few_faces_is_left_as_it_is(cube):
    assert with_fewer_faces(cube, 12) is cube


def test_less_than_a_tetrahedron_is_refused(cube):
    with pytest.raises(ValueError, match="at least 4 faces, but 3"):
        with_fewer_faces(cube, 3)


def test_parts_that_share_an_edge_are_refused(cube):
    corner = Mesh(cube.vertices + np.array([2, 2, 0]), cube.faces)
    both = union(cube, corner)
    positions, where = np.unique(both.vertices, axis=0, return_inverse=True)
    with pytest.raises(ValueError, match="an edge with more or fewer than two faces"):
        with_fewer_faces(Mesh(positions, where.reshape(-1)[both.faces]), 8)
