"""A converted mesh is always closed. A solid keeps its surface; a sheet becomes a plate."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.boundary import open_edges
from lagem.geometry.distance import DistanceTo
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface
from lagem.geometry.watertight import make_watertight

RESOLUTION = 128  # cells of side 0.016
THICKNESS = 0.02


def converted(mesh: Mesh) -> Mesh:
    return make_watertight(mesh, resolution=RESOLUTION, thickness=THICKNESS).mesh


def mesh_of(made: trimesh.Trimesh) -> Mesh:
    return Mesh(made.vertices, made.faces)


def exploded(mesh: Mesh) -> Mesh:
    """Return the mesh with three separate vertices for each face."""
    return Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))


def square(side: float, height: float = 0.0, *, upward: bool = True) -> Mesh:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * side / 2 + [0, 0, height]
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(corners, faces if upward else faces[:, ::-1])


def errors(source: Mesh, result: Mesh) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    there, back = (sample_surface(mesh, 4000, rng)[0] for mesh in (source, result))
    return DistanceTo(result)(there), DistanceTo(source)(back)


@pytest.mark.parametrize(
    "made", [trimesh.creation.icosphere(4, 0.9), trimesh.creation.box((1.2, 0.8, 0.6))], ids=["ball", "box"]
)
def test_a_closed_mesh_comes_back_on_its_own_surface(made):
    mesh = mesh_of(made)
    result = converted(mesh)
    there, back = errors(mesh, result)
    assert open_edges(result) == 0
    assert max(there.mean(), back.mean()) < 1e-3
    assert result.signed_volume == pytest.approx(mesh.signed_volume, rel=0.01)


def test_a_soup_of_turned_faces_is_the_solid_that_it_walls():
    mesh = exploded(mesh_of(trimesh.creation.box((1.2, 0.8, 0.6))))
    faces = mesh.faces.copy()
    faces[::3] = faces[::3, ::-1]
    result = converted(Mesh(mesh.vertices, faces))
    assert open_edges(result) == 0
    assert result.signed_volume == pytest.approx(1.2 * 0.8 * 0.6, rel=0.01)


def test_a_hole_narrower_than_a_cell_is_closed():
    ball = trimesh.creation.icosphere(5, 0.9)
    result = converted(Mesh(ball.vertices, np.delete(ball.faces, 100, axis=0)))
    assert result.signed_volume == pytest.approx(ball.volume, rel=0.01)


@pytest.mark.parametrize("upward", [True, False])
def test_an_open_sheet_becomes_a_plate_behind_its_front(upward):
    result = converted(square(1.0, upward=upward))
    inner = result.vertices[np.abs(result.vertices[:, :2]).max(axis=1) < 0.45]
    front, back = (0, -THICKNESS) if upward else (0, THICKNESS)
    gap = np.minimum(np.abs(inner[:, 2] - front), np.abs(inner[:, 2] - back))
    assert open_edges(result) == 0 and gap.max() < 1e-6
    assert result.signed_volume == pytest.approx(THICKNESS, rel=0.1)


def test_a_share_of_a_sheets_vertices_is_said_to_thicken_it():
    assert make_watertight(square(1.0), resolution=RESOLUTION, thickness=THICKNESS).sheet_share == pytest.approx(
        0.5, abs=0.05
    )
    ball = mesh_of(trimesh.creation.icosphere(4, 0.9))
    assert make_watertight(ball, resolution=RESOLUTION).sheet_share == 0


def test_two_fronts_on_one_another_keep_the_thickness():
    upper, lower = square(1.0, 1e-6), square(1.0, upward=False)
    turned = lower.vertices[[1, 2, 3, 0]]  # cut along the other diagonal, so no face is doubled
    both = Mesh(np.concatenate([upper.vertices, turned]), np.concatenate([upper.faces, lower.faces + 4]))
    result = converted(both)
    assert result.signed_volume == pytest.approx(THICKNESS, rel=0.15)


def test_an_open_box_is_its_walls():
    box = trimesh.creation.box((1, 1, 1))
    lid = box.face_normals[:, 2] > 0.5
    mesh = Mesh(box.vertices, box.faces[~lid])
    inside = WindingNumber(converted(mesh))
    asked = np.array([[0, 0, 0], [0, 0, -0.49], [0.49, 0, 0], [0.49, 0, 0.3], [0, 0, 0.49], [0.47, 0, 0]])
    np.testing.assert_array_equal(inside(asked), [False, True, True, True, False, False])


def test_an_inside_out_plate_thinner_than_a_cell_keeps_its_faces():
    plate = trimesh.creation.box((1, 1, 0.008))
    plate.invert()
    there, back = errors(mesh_of(plate), converted(exploded(mesh_of(plate))))
    assert there.mean() < 1e-3 and back.mean() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_any_soup_becomes_closed(seed):
    corners = np.random.default_rng(seed).uniform(-0.55, 0.55, (12, 3, 3))
    result = converted(Mesh(corners.reshape(-1, 3), np.arange(36).reshape(-1, 3)))
    assert open_edges(result) == 0 and result.signed_volume > 0
    assert np.isfinite(result.vertices).all()


def test_conversion_is_the_same_twice():
    first, second = (converted(square(1.0)) for _ in range(2))
    np.testing.assert_array_equal(first.vertices, second.vertices)
