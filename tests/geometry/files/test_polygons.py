"""Triangles of a polygon cover it once and stay inside it."""

import numpy as np
import pytest

from lagem.geometry.files.polygons import Polygons, clip_ears, strips_to_triangles


def area_of(points, triangles):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def random_star(rng, corners):
    """A simple polygon around the origin, by rising angle, with radii that differ much."""
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
        if np.diff(np.sort(np.arctan2(y, x))).max() > np.pi:  # the origin is outside: it may cross itself
            continue
        a, b, c = (outline[made[:, k]] for k in range(3))
        signed = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        assert len(made) == corners - 2 and signed.min() > -1e-9 and signed.sum() == pytest.approx(area)
        edges = {tuple(sorted(edge)) for t in made.tolist() for edge in zip(t, t[1:] + t[:1], strict=True)}
        assert len(edges) == 2 * corners - 3  # the outline and corners - 3 diagonals


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


def test_a_reflex_quad_is_cut_at_its_reflex_corner():
    points = np.array([(0, 0, 0), (2, 0, 0), (0.5, 0.5, 0), (0, 2, 0)], dtype=float)
    for shift in range(4):
        made = Polygons(points, np.roll(np.arange(4), shift), np.array([4])).triangles()
        assert area_of(points, made) == pytest.approx(1)


def test_a_keyhole_is_cut():
    """A square with a square hole, joined by a bridge of two edges at one place."""
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
