"""A shape that is packed for a page stands upright after unpacking, and is accurate to the stated error."""

import base64

import numpy as np
import pytest
import trimesh

from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.reports.page.packed import MOST_FACES, PackedShape, faces_of_each, packed

STEP = 2.5 / 65535


def array(shape: PackedShape, name: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(shape.entries[name]), dtype).reshape(-1, 3)


def points_of(shape: PackedShape) -> np.ndarray:
    return array(shape, "points", "<u2") * shape.entries["step"] - shape.entries["reach"]


def test_a_mesh_is_stored_upright_in_the_unit_sphere():
    made = trimesh.creation.box((2, 4, 6))
    mesh = Mesh(made.vertices + 100, made.faces)
    shape = packed(mesh, Frame.of(mesh.vertices), most_faces=100)
    x, y, z = (made.vertices / np.sqrt(14)).T
    np.testing.assert_allclose(points_of(shape), np.stack([x, z, -y], axis=1), atol=STEP)
    np.testing.assert_array_equal(array(shape, "faces", "<u2"), made.faces)
    assert shape.size == "12 triangles"


def test_a_shape_with_y_up_is_not_turned():
    made = trimesh.creation.box((2, 4, 6))
    for shape in (Mesh(made.vertices, made.faces, up="y"), made.vertices):
        stored = packed(shape, Frame.of(made.vertices), most_faces=100, up="y")
        np.testing.assert_allclose(points_of(stored), made.vertices / np.sqrt(14), atol=STEP)


def test_a_large_mesh_is_reduced_and_says_so():
    made = trimesh.creation.icosphere(5)
    shape = packed(Mesh(made.vertices, made.faces), Frame.of(made.vertices), most_faces=1_000)
    assert 500 < len(array(shape, "faces", "<u2")) <= 1_000
    assert shape.size.endswith("of 20,480 triangles")


def test_indices_beyond_two_bytes_take_four():
    made = trimesh.creation.icosphere(7)
    shape = packed(Mesh(made.vertices, made.faces), Frame.of(made.vertices), most_faces=len(made.faces))
    assert shape.entries["wide"] is True
    np.testing.assert_array_equal(array(shape, "faces", "<u4"), made.faces)


def test_points_of_a_cloud_have_the_normals_of_their_surface():
    points = np.random.default_rng(0).normal(size=(5_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    shape = packed(points, Frame.of(points), most_faces=2_000, up="y")
    assert shape.size == "2,000 of 5,000 points"
    normals = array(shape, "normals", "i1") / 127
    assert np.abs(np.einsum("nc,nc->n", normals, points_of(shape))).min() > 0.95


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_cloud_of_a_few_points_is_stored(count):
    points = np.eye(3)[:count]
    shape = packed(points, Frame(np.zeros(3), 1.0), most_faces=10)
    assert len(array(shape, "normals", "i1")) == count and np.isfinite(shape.entries["radius"])


def test_what_lies_far_outside_of_the_sphere_is_moved_to_the_border():
    mesh = Mesh([[0, 0, 0], [9, 0, 0], [0, 0, 9]], [[0, 1, 2]])
    assert np.abs(points_of(packed(mesh, Frame(np.zeros(3), 1.0), most_faces=10))).max() == pytest.approx(1.25)


def test_the_meshes_of_a_page_share_its_size():
    assert faces_of_each(50) == MOST_FACES
    for count in (1, 50, 51, 200):
        assert count * faces_of_each(count) <= 500_000
