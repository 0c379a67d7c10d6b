"""Extracted surfaces lie on the known zero level of a field and are closed; unusable fields are refused."""

import sys
import types

import numpy as np
import pytest
import torch
import trimesh

from lagem.geometry.surface import EmptySurfaceError, extract_surface

CENTRE = (0.1, 0.2, 0.3)


def ball(centre=CENTRE, radius=0.5):
    def query_logits(points):
        return radius - (points - torch.tensor(centre)).norm(dim=-1)

    return query_logits


def box(half):
    return lambda points: half - points.abs().amax(dim=-1)


def is_closed(mesh):
    """Return whether every edge has two faces, which traverse it in opposite directions."""
    made = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return made.is_watertight and made.is_winding_consistent


def volume(mesh):
    return np.linalg.det(mesh.vertices[mesh.faces]).sum() / 6


@pytest.mark.parametrize("method", ["dense", "coarse_to_fine"])
@pytest.mark.parametrize("resolution", [32, 33, 48, 64, 128])
def test_sphere_comes_back_within_a_tenth_of_a_cell(resolution, method):
    mesh = extract_surface(ball(), resolution=resolution, method=method)
    radii = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    np.testing.assert_allclose(radii, 0.5, atol=0.1 * 2 / resolution)
    assert is_closed(mesh)
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)  # positive: faces run outward


def ripples(points):
    return 0.6 - points.norm(dim=-1) + 0.15 * torch.sin(9 * points).prod(dim=-1) + 0.1 * torch.cos(14 * points[:, 0])


def test_coarse_to_fine_equals_dense_on_a_smooth_field():
    fast, slow = (extract_surface(ripples, resolution=128, method=method) for method in ("coarse_to_fine", "dense"))
    np.testing.assert_array_equal(fast.vertices, slow.vertices)
    np.testing.assert_array_equal(fast.faces, slow.faces)


def spiked(points):
    """The field of a ball with a spike so thin that the coarsest grid misses it; following the surface finds it."""
    spike = 0.012 - (points[:, 1:] - 0.01).norm(dim=-1)
    spike = torch.minimum(spike, torch.minimum(points[:, 0], 0.9 - points[:, 0]))
    return torch.maximum(0.3 - points.norm(dim=-1), spike)


def test_coarse_to_fine_follows_what_the_coarse_grid_cannot_see():
    slow = extract_surface(spiked, resolution=128, method="dense")
    fast = extract_surface(spiked, resolution=128, coarsest=32)
    assert slow.vertices[:, 0].max() > 0.85
    coarse_nodes = torch.from_numpy(np.argwhere(np.ones((33, 33, 33))) / 16 - 1)
    assert not (spiked(coarse_nodes) > 0)[coarse_nodes[:, 0] > 0.375].any()
    np.testing.assert_array_equal(fast.vertices, slow.vertices)


def test_coarse_to_fine_finds_what_lies_a_cell_beside_the_surface():
    def field(points):  # a half-space, and apart from it a ball between the coarsest nodes
        return torch.maximum(0.01 - points[:, 0], ball(centre=(3 / 32, 1 / 32, 1 / 32), radius=0.02)(points))

    slow = extract_surface(field, resolution=128, method="dense")
    fast = extract_surface(field, resolution=128, coarsest=32)
    assert slow.vertices[:, 0].max() > 0.1
    np.testing.assert_array_equal(fast.vertices, slow.vertices)


def test_coarse_to_fine_asks_far_fewer_points():
    asked = []

    def counted(points):
        asked.append(len(points))
        return ball()(points)

    extract_surface(counted, resolution=128)
    assert sum(asked) < 0.2 * 129**3


def test_shape_too_thin_for_the_coarsest_grid_is_still_found():
    centre = (5 / 128, 5 / 128, 5 / 128)  # farther than the radius from every node of the coarsest grid
    mesh = extract_surface(ball(centre=centre, radius=0.02), resolution=128)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - centre, axis=1), 0.02, atol=0.5 * 2 / 128)


@pytest.mark.parametrize("method", ["dense", "coarse_to_fine"])
@pytest.mark.parametrize("field", [box(1.0), box(1.7), ball(centre=(0.8, 0, 0), radius=0.5)])
def test_shape_that_touches_the_border_closes_near_it(field, method):
    mesh = extract_surface(field, resolution=64, method=method)
    assert is_closed(mesh) and volume(mesh) > 0
    assert np.abs(mesh.vertices).max() <= 1 + 0.5 * 2 / 64


def test_padding_does_not_move_the_surface_inside():
    mesh = extract_surface(ball(centre=(0.8, 0, 0)), resolution=64)
    free = mesh.vertices[mesh.vertices[:, 0] < 1 - 2 / 64]
    np.testing.assert_allclose(np.linalg.norm(free - [0.8, 0, 0], axis=1), 0.5, atol=0.1 * 2 / 64)


def test_nodes_lie_where_they_are_said_to():
    seen = []

    def noted(points):
        seen.append(points)
        return ball()(points)

    extract_surface(noted, resolution=33, method="dense", chunk=1000)
    points = torch.cat(seen)
    assert max(map(len, seen)) == 1000 and points.dtype == torch.float32
    expected = torch.from_numpy((-1 + 2 * np.arange(34) / 33).astype(np.float32))
    assert len(points) == 34**3
    for axis in range(3):
        assert torch.equal(points[:, axis].unique(), expected)


def test_logits_of_exactly_zero_are_outside_and_the_surface_closes():
    mesh = extract_surface(ball(centre=(0.0, 0.0, 0.0)), resolution=32)  # six nodes lie exactly on the surface
    assert is_closed(mesh)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.5, atol=0.1 * 2 / 32)
    with pytest.raises(EmptySurfaceError):
        extract_surface(lambda points: torch.zeros(len(points)), resolution=8)


def test_plateau_of_zeros_up_to_the_border_is_outside():
    mesh = extract_surface(lambda points: ball()(points).clamp(min=0), resolution=32)
    assert is_closed(mesh) and volume(mesh) > 0
    assert np.linalg.norm(mesh.vertices - CENTRE, axis=1).max() < 0.5 + 2 / 32


def test_low_precision_logits_are_accepted():
    mesh = extract_surface(lambda points: ball()(points).bfloat16(), resolution=32)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - CENTRE, axis=1), 0.5, atol=0.5 * 2 / 32)


def test_no_gradient_is_recorded():
    weight = torch.ones((), requires_grad=True)
    assert len(extract_surface(lambda points: ball()(points) * weight, resolution=32).faces)


def test_a_field_far_from_zero_has_no_cell_to_refine():
    with pytest.raises(EmptySurfaceError):
        extract_surface(lambda points: torch.full((len(points),), -50.0), resolution=16, coarsest=4)
    whole = extract_surface(lambda points: torch.full((len(points),), 50.0), resolution=16, coarsest=4)
    assert np.abs(whole.vertices).max() < 1.2 and whole.signed_volume == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("method", ["dense", "coarse_to_fine"])
def test_empty_field_says_so(method):
    with pytest.raises(EmptySurfaceError, match="no node of the 65\\^3 grid is inside"):
        extract_surface(lambda points: -1 - points[:, 0].abs(), resolution=64, method=method)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (lambda points: ball()(points)[:, None], r"shape \(4096, 1\) were returned"),
        (lambda points: ball()(points) / 0 * 0, "not finite"),
    ],
)
def test_unusable_logits_say_so(field, words):
    with pytest.raises(ValueError, match=words):
        extract_surface(field, resolution=15, chunk=65536)


@pytest.mark.parametrize("wrong", [{"resolution": 1}, {"chunk": 0}, {"coarsest": 0}, {"method": "fast"}])
def test_wrong_argument_says_so(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        extract_surface(ball(), **wrong)


def test_the_other_mcubes_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcubes", types.ModuleType("mcubes"))
    with pytest.raises(ImportError, match="PyMCubes"):
        extract_surface(ball(), resolution=8)
