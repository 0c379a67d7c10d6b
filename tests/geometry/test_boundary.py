"""The faces that bound a solid are found, despite doubled faces, buried surfaces, inside-out parts and hollows."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.boundary import bare_share, faced_outward, open_edges, parts_of, sample_boundary, without_doubles
from lagem.geometry.files.errors import MeshError
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber


def ball(radius: float = 0.5, center: tuple[float, float, float] = (0, 0, 0), *, inward: bool = False) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    faces = np.asarray(made.faces)
    return Mesh(np.asarray(made.vertices) + center, faces[:, ::-1] if inward else faces)


def box(low: float, high: float, *, inward: bool = False) -> Mesh:
    made = trimesh.creation.box(bounds=[[low] * 3, [high] * 3])
    return Mesh(made.vertices, made.faces[:, ::-1] if inward else made.faces)


def joined(*meshes: Mesh) -> Mesh:
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def boundary(mesh: Mesh, count: int = 4000) -> tuple[np.ndarray, np.ndarray, float]:
    return sample_boundary(mesh, WindingNumber(mesh), count, np.random.default_rng(0))


def test_of_overlapping_balls_only_the_outside_is_surface():
    centers = np.array([[-0.3, 0, 0], [0.3, 0, 0]])
    points, normals, dropped = boundary(joined(*(ball(0.5, tuple(center)) for center in centers)))
    distance = np.linalg.norm(points[:, None] - centers, axis=2)
    assert (distance.max(axis=1) > 0.498).all() and (np.abs(distance.min(axis=1) - 0.5) < 3e-3).all()
    own = centers[distance.argmin(axis=1)]
    assert (np.einsum("nc,nc->n", points - own, normals) > 0).all()
    cap = (0.5 - 0.3) / (2 * 0.5)  # fraction of a sphere's area beyond a plane 0.3 from its centre
    assert dropped == pytest.approx(cap, abs=0.02)


def test_a_nested_shell_of_the_same_orientation_is_buried():
    points, _, dropped = boundary(joined(ball(0.5), ball(0.25)))
    assert np.abs(np.linalg.norm(points, axis=1) - 0.5).max() < 3e-3
    assert dropped == pytest.approx(0.2, abs=0.02)


def test_a_hollow_keeps_its_surface_and_its_normals_point_into_it():
    points, normals, dropped = boundary(joined(ball(0.5), ball(0.25, inward=True)))
    radius = np.linalg.norm(points, axis=1)
    inner = radius < 0.3
    outward = np.einsum("nc,nc->n", points, normals)
    assert dropped == 0 and inner.mean() == pytest.approx(0.2, abs=0.03)
    assert (outward[inner] < 0).all() and (outward[~inner] > 0).all()


def test_normals_of_an_inside_out_mesh_point_out_of_the_solid():
    points, normals, _ = boundary(ball(inward=True))
    assert (np.einsum("nc,nc->n", points, normals) > 0).all()


def test_a_mesh_of_hardly_any_boundary_is_an_error():
    nested = joined(*(box(number / 1000, 1 - number / 1000) for number in range(150)))
    with pytest.raises(MeshError, match=r"of \d+ points on its surface, only \d+ lie on the boundary of a solid"):
        boundary(nested)


def test_layers_without_a_solid_between_them_are_bare():
    there = ball()
    both = joined(there, Mesh(there.vertices, there.faces[:, ::-1]))
    rng = np.random.default_rng(0)
    assert bare_share(both, WindingNumber(both), 500, rng) == 1
    assert bare_share(there, WindingNumber(there), 500, rng) == 0


def test_points_of_an_inside_out_part_inside_a_hollow_are_surface_too():
    """If the winding number in front of a face is negative and the space behind it is outside, the face is surface."""
    mesh = joined(ball(0.5, inward=True), ball(0.3, (2, 0, 0), inward=True), ball(0.2, (2, 0, 0), inward=True))
    points, normals, dropped = boundary(mesh)
    center = np.where(points[:, :1] > 1, [2.0, 0, 0], [0.0, 0, 0])
    radius = np.linalg.norm(points - center, axis=1)
    assert (np.minimum(abs(radius - 0.5), abs(radius - 0.3)) < 3e-3).all()
    assert (np.einsum("nc,nc->n", points - center, normals) > 0).all()
    assert dropped == pytest.approx(0.04 / (0.25 + 0.09 + 0.04), abs=0.02)


def test_faces_doubled_one_way_are_one_face():
    once = ball()
    mesh, times = without_doubles(Mesh(once.vertices, np.concatenate([once.faces, np.roll(once.faces, 1, axis=1)])))
    assert len(mesh.faces) == len(once.faces) and (times == 2).all()
    assert mesh.signed_volume == pytest.approx(once.signed_volume)


def test_faces_doubled_both_ways_are_a_sheet_that_keeps_the_first_ones_side():
    once = ball()
    mesh, times = without_doubles(Mesh(once.vertices, np.concatenate([once.faces, once.faces[:, ::-1]])))
    assert (times == 0).all()
    assert mesh.signed_volume == pytest.approx(once.signed_volume)


def test_of_three_faces_in_one_place_the_majority_decides():
    face = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2]])
    mesh, times = without_doubles(Mesh(np.eye(3), face))
    assert times.tolist() == [1]
    np.testing.assert_array_equal(mesh.normals_and_areas()[0], Mesh(np.eye(3), face[1:2]).normals_and_areas()[0])


def test_parts_that_share_an_edge_have_no_open_edge():
    boxes = [
        trimesh.creation.box((1, 1, 1), trimesh.transformations.translation_matrix(shift))
        for shift in ((0, 0, 0), (1, 1, 0))
    ]
    both = trimesh.util.concatenate(boxes)
    both.merge_vertices()
    mesh = Mesh(both.vertices, both.faces)
    assert len(mesh.vertices) == 14 and open_edges(mesh) == 0
    assert open_edges(Mesh(mesh.vertices, mesh.faces[:-1])) == 3


def test_parts_are_told_apart():
    part = parts_of(joined(ball(), ball(center=(2, 0, 0)), ball(center=(4, 0, 0))))
    assert len(np.unique(part)) == 3 and (np.diff(part.reshape(3, -1), axis=1) == 0).all()


@pytest.mark.parametrize("inward", [(True, False), (False, True), (True, True), (False, False)])
def test_overlapping_parts_enclose_their_union_whichever_way_they_face(inward):
    balls = [ball(0.5, center, inward=way) for center, way in zip(((-0.3, 0, 0), (0.3, 0, 0)), inward, strict=True)]
    mesh = faced_outward(joined(*balls))
    assert WindingNumber(mesh)(np.array([[-0.6, 0, 0], [0, 0, 0], [0.6, 0, 0]])).all()
    assert mesh.signed_volume == pytest.approx(2 * balls[0].signed_volume * (-1 if inward[0] else 1))


def moved(mesh: Mesh, shift: tuple[float, float, float], degrees: float = 0.0, axis: tuple = (0, 0, 1)) -> Mesh:
    turn = trimesh.transformations.rotation_matrix(np.radians(degrees), axis)[:3, :3]
    return Mesh(mesh.vertices @ turn.T + shift, mesh.faces)


def merged(*meshes: Mesh) -> Mesh:
    """Join meshes into one, and merge vertices at the same position, as `load_mesh` does."""
    both = joined(*meshes)
    _, first, of_vertex = np.unique(both.vertices.round(9), axis=0, return_index=True, return_inverse=True)
    return Mesh(both.vertices[first], of_vertex.reshape(-1)[both.faces])


def test_an_inside_out_part_is_turned_also_where_it_touches_the_part_it_overlaps():
    other = moved(box(0, 0.8, inward=True), (0, 0, 0), 30, (1, -1, 0.5))
    both = merged(box(0, 1), other)
    assert len(both.vertices) == 15  # they share the corner at the origin
    assert WindingNumber(faced_outward(both))(np.array([[0.3, 0.3, 0.3]])).all()


def test_parts_that_touch_in_an_edge_are_turned_alone():
    mesh = merged(box(0, 1), moved(box(0, 1, inward=True), (1, 1, 0)))
    assert len(mesh.vertices) == 14 and len(np.unique(parts_of(mesh))) == 2
    assert faced_outward(mesh).signed_volume == pytest.approx(2)


def test_open_pieces_that_only_together_are_closed_are_one_part():
    """Two open halves of a box meet at the edges of the cut. At each such edge, a wedge adds two more faces."""
    whole = trimesh.creation.box(bounds=[[-1, -1, 0], [1, 1, 1]])
    half = Mesh(whole.vertices, whole.faces[whole.face_normals[:, 2] > -0.5])
    mirrored = Mesh(half.vertices * [1, 1, -1], half.faces[:, ::-1])
    hull = trimesh.convex.convex_hull([[1, y, 0] for y in (-1, 1)] + [[2, y, z] for y in (-1, 1) for z in (-0.2, 0.2)])
    wedges = [moved(Mesh(hull.vertices, hull.faces), (0, 0, 0), degrees) for degrees in (0, 90, 180, 270)]
    mesh = merged(half, mirrored, *wedges)
    assert open_edges(mesh) == 0
    part = parts_of(mesh)
    assert len(np.unique(part)) == 5
    assert all(open_edges(mesh.with_faces(part == number)) == 0 for number in np.unique(part))


@pytest.mark.parametrize("inside_out", [False, True])
def test_a_hollow_stays_one_also_where_the_whole_is_inside_out(inside_out):
    mesh = joined(ball(0.5, inward=inside_out), ball(0.25, inward=not inside_out), ball(0.3, (2, 0, 0), inward=True))
    inside = WindingNumber(faced_outward(mesh))
    np.testing.assert_array_equal(
        inside(np.array([[0, 0, 0], [0.4, 0, 0], [2, 0, 0], [1, 0, 0]])), [False, True, True, False]
    )


def test_winding_numbers_count_and_sign():
    winding = WindingNumber(joined(ball(0.5), ball(0.25), ball(0.2, (2, 0, 0), inward=True)))
    found = winding.values(np.array([[0, 0, 0], [0.4, 0, 0], [2, 0, 0], [1, 0, 0]]))
    np.testing.assert_allclose(found, [2, 1, -1, 0], atol=0.05)


def test_a_frame_within_a_frame_is_one_frame():
    points = np.random.default_rng(0).normal(size=(50, 3)) * 7 + 100
    first = Frame.of(points)
    second = Frame(center=np.array([0.1, -0.2, 0.3]), scale=0.9)
    both = first.then(second)
    np.testing.assert_allclose(both.to_unit(points), second.to_unit(first.to_unit(points)), atol=1e-12)
    np.testing.assert_allclose(both.to_source(both.to_unit(points)), points, atol=1e-12)
