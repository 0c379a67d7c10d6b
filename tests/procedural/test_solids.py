"""Solids agree with loops over points, with areas from formulas and with rejection sampling."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lagem.geometry.frame import QUERY_BALL_VOLUME
from lagem.procedural.furniture import CATEGORIES, box, cone
from lagem.procedural.primitives.basic import Ball, Box, Frustum, Torus
from lagem.procedural.solids import ProceduralShape, ProceduralSolid, uniform_in_ball

KINDS = [(Box, [0.5, 0.2, 0.3]), (Frustum, [0.5, 0.2, 0.4]), (Torus, [0.4, 0.1]), (Ball, [0.3])]


def turned(kind, size):
    return kind(
        center=np.array([0.1, -0.2, 0.3]),
        size=np.array(size),
        rotation=Rotation.from_rotvec([0.4, 1.0, -0.7]).as_matrix(),
    )


def inside_by_hand(kind, size, x, y, z):
    if kind is Box:
        return abs(x) <= size[0] and abs(y) <= size[1] and abs(z) <= size[2]
    if kind is Frustum:
        bottom, top, half = size
        return abs(z) <= half and math.hypot(x, y) <= bottom + (top - bottom) * (z + half) / (2 * half)
    if kind is Torus:
        return math.hypot(math.hypot(x, y) - size[0], z) <= size[1]
    return math.sqrt(x * x + y * y + z * z) <= size[0]


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_occupancy_of_one_part_matches_a_loop_over_points(kind, size):
    part = turned(kind, size)
    shape, rng = ProceduralShape([ProceduralSolid([part])]), np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-1, 1, (400, 3)), shape.sample_inside(400, rng)[0]])
    for point, occupied in zip(points, shape.occupancy(points), strict=True):
        local = part.rotation.T @ (shape.frame.to_source(point[None])[0] - part.center)
        assert inside_by_hand(kind, size, *local) == occupied


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_bounds_and_reach_are_tight_for_a_turned_part(kind, size):
    part, origin = turned(kind, size), np.array([0.3, 0.1, -0.2])
    points = part.to_world(part.surface(400_000, np.random.default_rng(0))[0])
    low, high = part.bounds()
    np.testing.assert_allclose(points.min(axis=1), low, atol=0.01)
    np.testing.assert_allclose(points.max(axis=1), high, atol=0.01)
    farthest = np.linalg.norm(points - origin[:, None], axis=0).max()
    assert part.reach(origin) - 0.01 < farthest <= part.reach(origin) + 1e-12


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_a_surface_sample_is_uniform_by_area(kind, size):
    # divergence theorem: the mean of x . n over the area is 3 * volume / area
    part = kind(center=np.zeros(3), size=np.array(size))
    points, normals = part.surface(400_000, np.random.default_rng(0))
    _, volume = ProceduralShape([ProceduralSolid([part])]).sample_inside(400_000, np.random.default_rng(1))
    volume /= ProceduralShape([ProceduralSolid([part])]).frame.scale ** 3
    flux = (points * normals).sum(axis=0).mean() * part.area / 3
    assert flux == pytest.approx(volume, rel=0.01)
    np.testing.assert_allclose(normals.mean(axis=1), 0, atol=0.01)  # a closed surface


def test_exposed_areas_of_two_overlapping_boxes_are_as_computed():
    # unit cube, and a 0.5 x 0.5 x 1 post through its top: 0.5 of the post stands out
    shape = ProceduralShape([ProceduralSolid([box((0, 0, 0), (1, 1, 1)), box((0.25, 0.25, 0.5), (0.75, 0.75, 1.5))])])
    points = shape.frame.to_source(shape.sample_surface(200_000, np.random.default_rng(0))[0])
    post, cube = 4 * 0.5 * 0.5 + 0.25, 6 - 0.25
    assert (points[:, 2] > 1 + 1e-4).mean() == pytest.approx(post / (post + cube), abs=0.004)


def test_exposed_areas_of_a_cup_are_as_computed():
    # radius 1, height 2, wall 0.2, floor 0.5
    shape = ProceduralShape([ProceduralSolid([cone(0, 0, 0, 2, 1.0)], [cone(0, 0, 0.5, 3, 0.8)])])
    points, normals = shape.sample_surface(200_000, np.random.default_rng(0))
    points = shape.frame.to_source(points)
    outer, inner, rim = 2 * math.pi * 2, 2 * math.pi * 0.8 * 1.5, math.pi * (1 - 0.64)
    total = outer + inner + rim + math.pi + math.pi * 0.64
    wall = (np.hypot(points[:, 0], points[:, 1]) < 0.81) & (np.abs(normals[:, 2]) < 0.5)
    assert wall.mean() == pytest.approx(inner / total, abs=0.004)
    assert (points[:, 2] > 2 - 1e-4).mean() == pytest.approx(rim / total, abs=0.004)
    assert (points[wall, :2] * normals[wall, :2]).sum(axis=1).max() < 0  # into the hollow


@pytest.mark.parametrize("category", CATEGORIES)
def test_surface_points_lie_between_inside_and_outside(category):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shape = CATEGORIES[category](rng)
        points, normals = shape.sample_surface(2000, rng)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        above, below = (shape.occupancy(points.astype(np.float64) + step * normals) for step in (1e-6, -1e-6))
        assert above.mean() < 0.002 and below.mean() > 0.998  # except for rounding and points within 1e-6 of an edge


@pytest.mark.parametrize("category", CATEGORIES)
def test_shapes_are_centred_and_fill_the_unit_sphere(category):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        points, _ = CATEGORIES[category](rng).sample_surface(40_000, rng)
        assert 0.95 < np.linalg.norm(points, axis=1).max() <= 1 + 1e-6
        np.testing.assert_allclose(points.max(axis=0) + points.min(axis=0), 0, atol=0.05)


@pytest.mark.parametrize("category", CATEGORIES)
def test_inside_points_are_uniform_in_the_solid(category):
    rng = np.random.default_rng(1)
    shape = CATEGORIES[category](rng)
    inside, volume = shape.sample_inside(20_000, rng)
    assert shape.occupancy(inside).all()
    candidates = uniform_in_ball(600_000, rng) / np.sqrt(3)  # the unit ball holds the shape
    oracle = candidates[shape.occupancy(candidates)]
    assert volume == pytest.approx(QUERY_BALL_VOLUME / 3**1.5 * len(oracle) / len(candidates), rel=0.05)
    for power in (1, 2, 3):
        np.testing.assert_allclose((inside**power).mean(axis=0), (oracle**power).mean(axis=0), atol=0.02)
    for axis in range(3):
        bins = np.linspace(-1, 1, 9)
        shares = [np.histogram(points[:, axis], bins)[0] / len(points) for points in (inside, oracle)]
        np.testing.assert_allclose(*shares, atol=0.02)


def test_outside_points_are_outside_and_fill_the_ball_of_radius_sqrt_3():
    rng = np.random.default_rng(0)
    shape = CATEGORIES["mug"](rng)
    points = shape.sample_outside(20_000, rng)
    assert not shape.occupancy(points).any()
    norms = np.linalg.norm(points, axis=1)
    assert norms.max() <= np.sqrt(3) + 1e-6
    assert (norms > 1).mean() == pytest.approx(
        (QUERY_BALL_VOLUME - 4 / 3 * np.pi) / (QUERY_BALL_VOLUME - 0.45), abs=0.02
    )
