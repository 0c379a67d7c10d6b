"""Ellipsoids, capsules, extrusions and revolutions agree with closed forms and with loops over points."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lagem.procedural.outlines import cross_section, lathe_profile
from lagem.procedural.primitives.polygon import Polygon
from lagem.procedural.primitives.rounded import Capsule, Ellipsoid
from lagem.procedural.primitives.swept import Extrusion, Revolution

TURN = Rotation.from_rotvec([0.4, 1.0, -0.7]).as_matrix()
CENTER = np.array([0.1, -0.2, 0.3])
ELL = np.array([(0, 0), (1, 0), (1, 0.4), (0.3, 0.4), (0.3, 1.2), (0, 1.2)]) - 0.2
HOLE = np.array([(0.05, 0.05), (0.15, 0.05), (0.1, 0.15)])
SLANTED = np.array([(0.3, -0.5), (0.9, -0.2), (0.5, 0.1), (0.8, 0.6), (0.2, 0.4)])
ON_AXIS = np.array([(0.0, -0.4), (0.6, -0.3), (0.4, 0.2), (0.5, 0.6), (0.45, 0.6), (0.3, 0.0), (0.0, -0.1)])


def signed_area(ring):
    return sum(a * d - b * c for (a, b), (c, d) in zip(ring, np.roll(ring, -1, axis=0), strict=True)) / 2


def signed_moment(ring):
    """Return the integral of x over the inside of a counterclockwise ring (Green's theorem)."""
    pairs = zip(ring, np.roll(ring, -1, axis=0), strict=True)
    return sum((d - b) * (a * a + a * c + c * c) for (a, b), (c, d) in pairs) / 6


def winds_around(rings, x, y):
    """Say whether a point is inside the first ring and outside the others, by the angles of the edges seen from it."""
    around = []
    for ring in rings:
        at = [complex(*corner) - complex(x, y) for corner in ring]
        around.append(abs(sum(np.angle(b / a) for a, b in zip(at, at[1:] + at[:1], strict=True))) > math.pi)
    return around[0] and not any(around[1:])


def by_hand_ellipsoid(x, y, z):
    return (x / 0.5) ** 2 + (y / 0.2) ** 2 + (z / 0.05) ** 2 <= 1


def by_hand_capsule(x, y, z):
    return min(math.dist((x, y, z), (0, 0, at)) for at in np.linspace(-0.6, 0.6, 4001)) <= 0.2


BODIES = {  # the body, whether it holds a local point, and its volume
    "ellipsoid": (Ellipsoid(CENTER, np.array([0.5, 0.2, 0.05]), TURN), by_hand_ellipsoid, 4 / 3 * np.pi * 0.005),
    "capsule": (
        Capsule(CENTER, np.array([0.2, 0.6]), TURN),
        by_hand_capsule,
        np.pi * 0.04 * (1.2 + 4 / 3 * 0.2),
    ),
    "extrusion": (
        Extrusion(CENTER, np.array([0.7, 0.3]), TURN, polygon=Polygon(ELL[::-1], [HOLE])),
        lambda x, y, z: abs(z) <= 0.3 and winds_around([ELL, HOLE], x / 0.7, y / 0.7),
        0.6 * 0.49 * (abs(signed_area(ELL)) - abs(signed_area(HOLE))),
    ),
    "ring": (
        Revolution(CENTER, np.array([0.8]), TURN, polygon=Polygon(SLANTED)),
        lambda x, y, z: winds_around([SLANTED], math.hypot(x, y) / 0.8, z / 0.8),
        2 * np.pi * 0.8**3 * abs(signed_moment(SLANTED)),
    ),
    "vessel": (
        Revolution(CENTER, np.array([1.3]), TURN, polygon=Polygon(ON_AXIS)),
        lambda x, y, z: winds_around([ON_AXIS], math.hypot(x, y) / 1.3, z / 1.3),
        2 * np.pi * 1.3**3 * abs(signed_moment(ON_AXIS)),
    ),
}
each_body = pytest.mark.parametrize(("body", "holds", "volume"), BODIES.values(), ids=BODIES)


@each_body
def test_a_body_holds_the_points_that_a_loop_finds_inside(body, holds, volume):
    rng = np.random.default_rng(0)
    local = np.hstack([rng.uniform(-1, 1, (3, 300)) * 1.1 * body.half[:, None], body.candidates(200, rng)])
    expected = [holds(*point) for point in local.T]
    assert 50 < sum(expected) < 480
    assert body.contains(local).tolist() == expected
    assert body.holds(body.to_world(local)).tolist() == expected


@each_body
def test_bounds_and_reach_of_a_body_are_tight(body, holds, volume):
    points = body.to_world(body.surface(400_000, np.random.default_rng(0))[0])
    low, high = body.bounds()
    np.testing.assert_allclose(points.min(axis=1), low, atol=0.01)
    np.testing.assert_allclose(points.max(axis=1), high, atol=0.01)
    on_axis = body.to_world(np.array([[0.0], [0.0], [0.3]]))[:, 0]
    for origin in (np.array([0.3, 0.1, -0.2]), np.array([5.0, 2.0, 1.0]), body.center, on_axis):
        farthest = np.linalg.norm(points - origin[:, None], axis=0).max()
        assert body.reach(origin) - 0.01 < farthest <= body.reach(origin) + 1e-12


@each_body
def test_surface_points_of_a_body_are_uniform_by_area(body, holds, volume):
    """For such points x and normals n, the mean of x[i] * n[i] is volume / area for each axis i, and that of n is 0."""
    points, normals = body.surface(400_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-9)
    np.testing.assert_allclose((points * normals).mean(axis=1), volume / body.area, rtol=0.03)
    np.testing.assert_allclose(normals.mean(axis=1), 0, atol=0.01)


@each_body
def test_occupancy_flips_along_the_normals_of_a_body(body, holds, volume):
    points, normals = body.surface(20_000, np.random.default_rng(0))
    assert body.contains(points + 1e-6 * normals).mean() < 0.001  # except for points within 1e-6 of an edge
    assert body.contains(points - 1e-6 * normals).mean() > 0.999


@each_body
def test_candidates_of_a_body_are_uniform_around_it(body, holds, volume):
    rng = np.random.default_rng(0)
    box = rng.uniform(-1, 1, (3, 800_000)) * body.half[:, None]
    oracle, drawn = box[:, body.contains(box)], body.candidates(200_000, rng)
    inside = body.contains(drawn)
    assert inside.mean() * body.candidate_volume == pytest.approx(volume, rel=0.01)
    assert inside.mean() > 0.5
    for power in (1, 2, 3):
        moments = [(points**power).mean(axis=1) for points in (drawn[:, inside], oracle)]
        np.testing.assert_allclose(*moments, atol=0.006)


@each_body
@pytest.mark.parametrize("axis", range(3))
def test_a_mirrored_body_holds_the_mirrored_points(axis, body, holds, volume):
    rng = np.random.default_rng(0)
    points = body.to_world(rng.uniform(-1, 1, (3, 2000)) * body.half[:, None])
    flip = np.ones((3, 1))
    flip[axis] = -1
    image = body.mirrored(axis)
    assert (image.holds(flip * points) == body.holds(points)).all()
    assert np.linalg.det(image.rotation) == pytest.approx(1)


def test_projected_area_of_an_ellipsoid_is_that_of_an_ellipse():
    body = Ellipsoid(np.zeros(3), np.array([0.9, 0.4, 0.1]))
    _, normals = body.surface(400_000, np.random.default_rng(0))
    for axis, (a, b) in enumerate([(0.4, 0.1), (0.9, 0.1), (0.9, 0.4)]):
        assert np.abs(normals[axis]).mean() * body.area / 2 == pytest.approx(np.pi * a * b, rel=0.02)


def test_points_per_face_of_an_extrusion_are_proportional_to_its_area():
    body = BODIES["extrusion"][0]
    points, normals = body.surface(400_000, np.random.default_rng(0))
    caps = np.abs(normals[2]) > 0.5
    area = abs(signed_area(ELL)) - abs(signed_area(HOLE))
    total = 2 * 0.49 * area + 0.6 * 0.7 * (2 * (1 + 1.2) + 0.1 + 2 * math.hypot(0.05, 0.1))
    assert body.area == pytest.approx(total)
    assert caps.mean() == pytest.approx(2 * 0.49 * area / total, abs=0.003)
    left = points[0] < 0.7 * -0.2 + 1e-9
    assert left.mean() == pytest.approx(0.6 * 0.7 * 1.2 / total, abs=0.003)
    assert points[1, left].mean() == pytest.approx(0.7 * 0.4, abs=0.003)


def test_random_polygons_do_not_cross_themselves():
    """If an outline crossed itself or a hole, the area of its inside would differ from that by Green's theorem."""
    for seed in range(300):
        section, profile = (draw(np.random.default_rng(seed)) for draw in (cross_section, lathe_profile))
        assert section.mass(1) == pytest.approx(sum(map(signed_area, section._rings)), rel=1e-6), seed
        assert profile.mass(1) == pytest.approx(sum(map(signed_area, profile._rings)), rel=1e-6), seed
        assert profile.mass(2) == pytest.approx(sum(map(signed_moment, profile._rings)), rel=1e-6), seed
        assert profile.starts[:, 0].min() >= 0
        assert np.abs(section.starts).max() < 1 + 1e-9
