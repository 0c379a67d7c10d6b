"""The triangles of a polygon cover it once and stay inside it."""

import numpy as np
import pytest

from lagem.geometry.files.polygons import (
    LARGEST_FAN,
    MOST_WORK,
    Polygons,
    clip_ears,
    fan,
    halved,
    strips_to_triangles,
)


def area_of(points, triangles):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def random_star(rng, corners):
    """Return a polygon around the origin: its corners have increasing angles and very different radii."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.2, 1, corners)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


@pytest.mark.parametrize("corners", [5, 8, 30, 200])
def test_ears_cover_a_star_shaped_polygon_once(corners):
    rng = np.random.default_rng(corners)
    for _ in range(10):
        outline = random_star(rng, corners)
        x, y = outline.T
        area = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)
        made = clip_ears(outline)
        if np.diff(np.sort(np.arctan2(y, x))).max() > np.pi:  # the origin is outside: the outline may cross itself
            continue
        a, b, c = (outline[made[:, k]] for k in range(3))
        signed = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        assert len(made) == corners - 2 and signed.min() > -1e-9 and signed.sum() == pytest.approx(area)
        edges = {tuple(sorted(edge)) for t in made.tolist() for edge in zip(t, t[1:] + t[:1], strict=True)}
        assert len(edges) == 2 * corners - 3  # all edges of the outline, and (corners - 3) diagonals


def test_a_polygon_in_space_keeps_its_area_and_its_side():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    outline = np.array([(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (3, 2), (3, 3), (0, 3)], dtype=float)
    for shift in range(8):
        corners = np.roll(np.arange(8), shift)
        points = np.c_[outline, np.zeros(8)] @ turn.T + [100, 20, 3]
        made = Polygons(points, corners, np.array([8])).triangles()
        a, b, c = (points[made[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        assert area_of(points, made) == pytest.approx(7)
        assert (normals @ (turn[:, 2] * np.sign(np.linalg.det(turn))) > 0).all()


def test_convex_faces_become_fans_in_the_order_of_the_faces():
    points = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1)], dtype=float)
    made = Polygons(points, np.array([0, 1, 2, 3, 4, 5, 6, 3, 2, 1, 0]), np.array([4, 3, 4])).triangles()
    np.testing.assert_array_equal(made, [[0, 1, 2], [0, 2, 3], [4, 5, 6], [3, 2, 1], [3, 1, 0]])


@pytest.mark.parametrize("cut", [fan, halved])
def test_a_convex_polygon_is_covered_once(cut):
    for n in [*range(3, 70), 1000, 1001]:
        angles = 2 * np.pi * np.arange(n) / n
        outline = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        made = cut(n)
        a, b, c = (outline[made[:, k]] for k in range(3))
        signed = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        assert len(made) == n - 2 and signed.min() > 0
        assert signed.sum() == pytest.approx(n / 2 * np.sin(2 * np.pi / n))


@pytest.mark.parametrize("corners", [LARGEST_FAN, LARGEST_FAN + 1, 400_000])
def test_few_triangles_of_a_large_convex_face_meet_at_a_corner(corners):
    """A fan of a large face has so many triangles close together at one corner that preparation would take minutes."""
    angles = 2 * np.pi * np.arange(corners) / corners
    points = np.stack([np.cos(angles), np.sin(angles), np.zeros(corners)], axis=1)
    made = Polygons(points, np.arange(corners), np.array([corners])).triangles()
    assert area_of(points, made) == pytest.approx(np.pi, rel=1e-5)
    most = np.bincount(made.ravel()).max()
    assert most == corners - 2 if corners <= LARGEST_FAN else most <= 2 * np.log2(corners)


def test_a_reflex_quad_is_cut_at_its_reflex_corner():
    points = np.array([(0, 0, 0), (2, 0, 0), (0.5, 0.5, 0), (0, 2, 0)], dtype=float)
    for shift in range(4):
        made = Polygons(points, np.roll(np.arange(4), shift), np.array([4])).triangles()
        assert area_of(points, made) == pytest.approx(1)


def test_a_keyhole_is_cut():
    """A square with a square hole. Two coincident edges join the hole to the outline."""
    outer, hole = [(0, 0), (3, 0), (3, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)]
    outline = np.array([*outer, outer[0], *hole, hole[0]], dtype=float)
    made = clip_ears(outline)
    assert made is not None
    assert area_of(np.c_[outline, np.zeros(10)], made) == pytest.approx(8)


def test_a_quad_that_repeats_a_corner_is_a_triangle():
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], dtype=float)
    for corners in ([0, 1, 2, 2], [0, 0, 1, 2], [0, 1, 1, 2], [2, 0, 1, 2]):
        assert area_of(points, Polygons(points, np.array(corners), np.array([4])).triangles()) == pytest.approx(0.5)


def test_a_large_polygon_takes_a_moment():
    rng = np.random.default_rng(0)
    outline = random_star(rng, 2_000)
    made = Polygons(np.c_[outline, np.zeros(2_000)], np.arange(2_000), np.array([2_000])).triangles()
    assert len(made) == 1_998


def test_too_many_reflex_corners_are_refused():
    count = 20_002
    outline = np.c_[np.arange(count), np.where(np.arange(count) % 2, 1.0, 0.5), np.zeros(count)]
    outline = np.r_[outline, [[count, -1, 0], [-1, -1, 0]]]
    with pytest.raises(ValueError, match="20004 corners and is not convex"):
        Polygons(outline, np.arange(count + 2)[::-1].copy(), np.array([count + 2])).triangles()


def test_very_many_concave_faces_are_refused_before_they_take_hours():
    arrow = np.array([(0, 0, 0), (2, 1, 0), (0, 2, 0), (0.5, 1.2, 0), (0.5, 0.8, 0)])
    with pytest.raises(ValueError, match="5 corners and is not convex, .* too many"):
        count = 20 * MOST_WORK // 1000
        Polygons(arrow, np.tile(np.arange(5), count), np.full(count, 5)).triangles()


def test_concave_quads_take_a_moment_however_many():
    points = np.array([(0, 0, 0), (2, 0, 0), (0.5, 0.5, 0), (0, 2, 0)], dtype=float)
    corners = np.array([np.roll(np.arange(4), k) for k in range(4)] * 100_000)
    made = Polygons(points, corners.reshape(-1), np.full(len(corners), 4)).triangles()
    assert area_of(points, made) == pytest.approx(len(corners))


def lattice_outline(rng, cells):
    """Return the counter-clockwise outline of connected grid squares without holes; adjacent edges may be collinear."""
    around = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    made = {(0, 0)}
    while len(made) < cells:
        x, y = sorted(made)[rng.integers(len(made))]
        dx, dy = around[2 * rng.integers(4)]
        cell = (x + dx, y + dy)
        there = [(cell[0] + a, cell[1] + b) in made for a, b in around]
        if cell not in made and sum(there[k] != there[k - 1] for k in range(8)) == 2:
            made.add(cell)
    following = {}
    for x, y in made:
        ring = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
        for k, (dx, dy) in enumerate([(0, -1), (1, 0), (0, 1), (-1, 0)]):
            if (x + dx, y + dy) not in made:
                following[ring[k]] = ring[(k + 1) % 4]
    outline = [next(iter(following))]
    while following[outline[-1]] != outline[0]:
        outline.append(following[outline[-1]])
    return np.array(outline, dtype=float)


def test_turned_polygons_with_corners_on_straight_lines_are_covered_once():
    rng = np.random.default_rng(0)
    for _ in range(150):
        cells = int(rng.integers(2, 60))
        outline = np.repeat(corners := lattice_outline(rng, cells), rng.integers(1, 3, len(corners)), axis=0)
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = np.c_[outline @ turn + rng.uniform(-1e4, 1e4, 2), np.zeros(len(outline))]
        made = Polygons(points, np.arange(len(points)), np.array([len(points)])).triangles()
        a, b, c = (points[made[:, k]] for k in range(3))
        signed = np.cross(b - a, c - a)[:, 2] / 2
        assert signed.min() > -1e-6 and signed.sum() == pytest.approx(cells)


def test_strips_match_a_loop():
    rng = np.random.default_rng(0)
    strips = [rng.integers(0, 50, size).tolist() for size in (3, 1, 0, 8, 2, 5)]
    items = [item for strip in strips for item in strip]
    items[6] = -1  # within the strip of eight
    sizes = [len(strip) for strip in strips]
    expected, at = [], 0
    for size in sizes:
        parts = [[]]
        for item in items[at : at + size]:
            parts.append([]) if item == -1 else parts[-1].append(item)
        at += size
        for part in parts:
            for k in range(len(part) - 2):
                expected.append(part[k : k + 3] if k % 2 == 0 else [part[k + 1], part[k], part[k + 2]])
    np.testing.assert_array_equal(strips_to_triangles(np.array(items), np.array(sizes)), expected)
