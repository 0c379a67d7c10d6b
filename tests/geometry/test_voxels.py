"""The cells that a surface crosses agree with exact distances to the surface."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.distance import DistanceTo, exposed
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.voxels import Grid, any_corner, cells_of_solid, corners_of, crossed_cells, finer_cells

GRID = Grid(cells=48, reach=1.1)


@pytest.fixture
def soup() -> Mesh:
    """Triangles of all sizes and shapes: large, tiny, slivers, lines and points."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(-0.6, 0.6, (120, 3, 3))
    corners[40:80] = corners[40:80, :1] + rng.normal(size=(40, 3, 3)) * 0.01
    corners[80:110, 2] = corners[80:110, :2].mean(axis=1) + rng.normal(size=(30, 3)) * 1e-3
    corners[110:115, 2] = corners[110:115, 1]
    corners[115:, 1:] = corners[115:, :1]
    return Mesh(corners.reshape(-1, 3), np.arange(360).reshape(-1, 3))


def test_nodes_near_the_surface_are_corners_of_crossed_cells(soup):
    near = corners_of(crossed_cells(soup, GRID))
    nodes = np.argwhere(np.ones_like(near))
    close = DistanceTo(soup)(GRID.positions(nodes)) < 0.6 * GRID.spacing
    assert close.any() and near[tuple(nodes[close].T)].all()


def test_no_surface_is_in_a_cell_next_to_no_crossed_one(soup):
    reached = any_corner(corners_of(crossed_cells(soup, GRID, near=0.95)))
    weights = np.random.default_rng(0).dirichlet(np.ones(3), size=(len(soup.faces), 500))
    points = np.einsum("fkc,fcx->fkx", weights, soup.vertices[soup.faces]).reshape(-1, 3)
    assert reached[tuple(GRID.cell_of(points).T)].all()


def test_crossed_cells_are_few(soup):
    crossed = crossed_cells(soup, GRID)
    centre = GRID.positions(np.argwhere(crossed) + 0.5)
    assert DistanceTo(soup)(centre).max() < (np.sqrt(3) / 2 + 1e-9) * GRID.spacing


def test_making_the_lattice_in_parts_changes_nothing(soup, monkeypatch):
    whole = crossed_cells(soup, GRID)
    monkeypatch.setattr("lagem.geometry.voxels.LATTICE_POINTS", 1000)
    np.testing.assert_array_equal(crossed_cells(soup, GRID), whole)


def test_corners_are_those_of_a_loop():
    cells = np.random.default_rng(0).random((4, 4, 4)) < 0.1
    expected = np.zeros((5, 5, 5), dtype=bool)
    for x, y, z in np.argwhere(cells):
        expected[x : x + 2, y : y + 2, z : z + 2] = True
    np.testing.assert_array_equal(corners_of(cells), expected)


def test_cells_of_a_hollow_ball_hold_all_of_its_solid_and_not_its_hollow():
    outer, inner = (trimesh.creation.icosphere(subdivisions=4, radius=radius) for radius in (0.9, 0.6))
    inner.invert()
    both = trimesh.util.concatenate([outer, inner])
    mesh = Mesh(both.vertices, both.faces)
    cells = {tuple(cell) for cell in cells_of_solid(mesh, WindingNumber(mesh), GRID)}
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    radius = np.linalg.norm(points, axis=1)
    solid = points[(radius > 0.6) & (radius < 0.9)]
    assert {tuple(cell) for cell in GRID.cell_of(solid)} <= cells
    assert tuple(GRID.cell_of(np.zeros((1, 3)))[0]) not in cells
    assert len(cells) * GRID.spacing**3 < 2 * 4 / 3 * np.pi * (0.9**3 - 0.6**3)


def test_finer_cells_hold_all_of_the_solid_and_fewer_of_its_surroundings():
    plate = trimesh.creation.box((1.5, 1.2, 0.01), trimesh.transformations.rotation_matrix(0.5, [1, 2, 3]))
    mesh = Mesh(plate.vertices, plate.faces)
    inside, cells, grid = WindingNumber(mesh), cells_of_solid(mesh, WindingNumber(mesh), GRID), GRID
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 3)) * [1.5, 1.2, 0.01]
    points = points @ trimesh.transformations.rotation_matrix(0.5, [1, 2, 3])[:3, :3].T
    for _ in range(2):
        before = len(cells) * grid.spacing**3
        cells, grid = finer_cells(cells, grid, inside, DistanceTo(mesh))
        assert len(cells) * grid.spacing**3 < 0.7 * before
        kept = np.ravel_multi_index(tuple(cells.T), (grid.cells,) * 3)
        assert np.isin(np.ravel_multi_index(tuple(grid.cell_of(points).T), (grid.cells,) * 3), kept).all()


def test_distance_is_that_to_the_nearest_triangle():
    box = trimesh.creation.box((1, 1, 1))
    distance, face, position = DistanceTo(Mesh(box.vertices, box.faces)).nearest(np.array([[0.9, 0.1, 0], [0, 0, 0.2]]))
    np.testing.assert_allclose(distance, [0.4, 0.3])
    np.testing.assert_allclose(position, [[0.5, 0.1, 0], [0, 0, 0.5]])
    np.testing.assert_allclose(box.face_normals[face], [[1, 0, 0], [0, 0, 1]])


def test_what_another_part_encloses_is_not_exposed():
    outer, inner = (trimesh.creation.icosphere(subdivisions=3, radius=radius) for radius in (0.9, 0.4))
    both = trimesh.util.concatenate([outer, inner])
    mesh = Mesh(both.vertices, both.faces)
    seen = exposed(mesh, both.triangles_center, both.face_normals, np.random.default_rng(0))
    np.testing.assert_array_equal(seen, np.linalg.norm(both.triangles_center, axis=1) > 0.6)
