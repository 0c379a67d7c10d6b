"""Occupancy by winding numbers agrees with the exact occupancy of simple shapes."""

import numpy as np
import pytest

from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber


def inside_box(points):
    return (np.abs(points) < 1).all(axis=1)


def test_box_is_labelled_exactly(cube, rng):
    points = rng.uniform(-1.5, 1.5, (5000, 3))
    np.testing.assert_array_equal(WindingNumber(cube)(points), inside_box(points))


def test_inside_out_box_is_solid(cube, rng):
    points = rng.uniform(-1.5, 1.5, (5000, 3))
    labels = WindingNumber(Mesh(cube.vertices, cube.faces[:, ::-1]))(points)
    np.testing.assert_array_equal(labels, inside_box(points))


def test_overlap_of_two_spheres_is_inside(sphere, rng):
    shift = np.array([1.0, 0, 0])
    both = Mesh(
        np.concatenate([sphere.vertices, sphere.vertices + shift]),
        np.concatenate([sphere.faces, sphere.faces + len(sphere.vertices)]),
    )
    points = rng.uniform(-1.2, 2.2, (20000, 3))
    distance = np.minimum(np.linalg.norm(points, axis=1), np.linalg.norm(points - shift, axis=1))
    clear = np.abs(distance - 1) > 2e-3  # the faceted sphere lies within this of the true one
    np.testing.assert_array_equal(WindingNumber(both)(points)[clear], (distance < 1)[clear])
    assert WindingNumber(both)(np.array([[0.5, 0, 0]])).all()


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 1e4), (1e30, 0.0)])
def test_place_and_unit_of_the_mesh_do_not_matter(scale, shift, cube, rng):
    points = rng.uniform(-1.5, 1.5, (2000, 3))
    labels = WindingNumber(Mesh(cube.vertices * scale + shift, cube.faces))(points * scale + shift)
    np.testing.assert_array_equal(labels, inside_box(points))


def test_chunks_do_not_change_the_answer(cube, rng, monkeypatch):
    points = rng.uniform(-1.5, 1.5, (1000, 3))
    monkeypatch.setattr("lagem.geometry.occupancy.CHUNK", 77)
    np.testing.assert_array_equal(WindingNumber(cube)(points), inside_box(points))


def test_no_points_give_no_labels(cube):
    assert WindingNumber(cube)(np.zeros((0, 3))).shape == (0,)


def test_mesh_without_extent_is_refused():
    with pytest.raises(ValueError, match="no frame"):
        WindingNumber(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))
