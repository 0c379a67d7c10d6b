"""Points are sampled uniformly on surfaces."""

import types

import numpy as np
import pytest

from lagem.geometry.files.errors import MeshError
from lagem.geometry.mesh import Mesh
from lagem.geometry.sampling import sample_surface


def test_faces_are_hit_in_proportion_to_their_area(rng):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5.0]])
    mesh = Mesh(corners, np.array([[0, 1, 2], [3, 4, 5]]))  # areas 1 to 9
    points, _ = sample_surface(mesh, 100_000, rng)
    assert (points[:, 2] > 2).mean() == pytest.approx(0.9, abs=0.004)


def test_points_are_uniform_within_a_face(rng):
    mesh = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))
    points, _ = sample_surface(mesh, 100_000, rng)
    assert (points[:, :2] >= 0).all() and (points[:, :2].sum(axis=1) <= 1 + 1e-12).all()
    np.testing.assert_allclose(points.mean(axis=0), [1 / 3, 1 / 3, 0], atol=0.004)
    # a triangle at a corner, with sides half as long, holds a quarter of the points
    for corner in (points[:, 0] > 0.5, points[:, 1] > 0.5, points[:, :2].sum(axis=1) < 0.5):
        assert corner.mean() == pytest.approx(0.25, abs=0.006)


def test_points_and_normals_lie_on_the_sphere(sphere, rng):
    points, normals = sample_surface(sphere, 5000, rng)
    assert points.shape == normals.shape == (5000, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-3)
    assert ((points * normals).sum(axis=1) > 0.99).all()  # outward


def test_faces_without_area_are_never_drawn(rng):
    corners = np.array([[9, 9, 9], [0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    mesh = Mesh(corners, np.array([[0, 0, 0], [1, 2, 3], [0, 0, 0]]))
    points, normals = sample_surface(mesh, 1000, rng)
    assert points.max() <= 1
    lowest = types.SimpleNamespace(random=lambda shape: np.zeros(shape))
    assert sample_surface(mesh, 1, lowest)[0].max() <= 1
    np.testing.assert_allclose(normals, [[0, 0, 1]] * 1000)


def test_same_generator_same_points(cube):
    first, second = (sample_surface(cube, 50, np.random.default_rng(3))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_huge_coordinates_are_sampled(cube, rng):
    points, _ = sample_surface(Mesh(cube.vertices * 3e38, cube.faces), 1000, rng)
    np.testing.assert_allclose(np.abs(points).max(axis=1), 3e38)


def test_mesh_without_area_is_refused(rng):
    with pytest.raises(MeshError, match="no area"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, rng)
