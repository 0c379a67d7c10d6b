"""Random polygons of man-made shapes: cross-sections to extrude, and profiles to turn on a lathe.

Cross-sections fit the square [-1, 1]². Profiles hold points (distance from the axis, height).
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from lagem.procedural.primitives.polygon import Polygon
from lagem.procedural.primitives.primitive import Array

Rng = np.random.Generator


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def polar(radius: Array | float, angle: Array) -> Array:
    """Return the (N, 2) points at a distance and an angle from the origin."""
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def circle(corners: int = 40, start: float = 0.0) -> Array:
    """Return a regular polygon with the given number of corners on the unit circle, as (corners, 2)."""
    return polar(1.0, start + 2 * np.pi * np.arange(corners) / corners)


def fitted(ring: Array) -> Array:
    """Scale and move an outline so that its longer side spans [-1, 1]."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    return (ring - (low + high) / 2) * 2 / (high - low).max()


def radial(rng: Rng) -> Array:
    """Return an outline that each ray from the origin crosses once: a regular polygon, star, gear, blob or ellipse."""
    kind = int(rng.integers(6))
    count = int(rng.integers(3, 13))
    if kind == 0:
        return circle(min(count, 8), rng.choice([0, np.pi / count, np.pi / 2]))
    if kind == 1:  # a star
        radius = np.tile([1.0, rng.uniform(0.35, 0.8)], count)
        return polar(radius, np.pi / 2 + np.pi * np.arange(2 * count) / count)
    if kind == 2:  # a gear
        teeth, root, tip = int(rng.integers(6, 17)), rng.uniform(0.7, 0.9), rng.uniform(0.15, 0.45)
        edges = np.array([-0.5, -tip / 2, tip / 2, 0.5]) * np.array([0.95, 1, 1, 0.95]) * rng.uniform(0.5, 0.9)
        angles = (np.arange(teeth)[:, None] + edges).ravel() * 2 * np.pi / teeth
        return polar(np.tile([root, 1, 1, root], teeth), angles)
    if kind == 3:  # petals
        angle = 2 * np.pi * np.arange(72) / 72
        lobes, depth = int(rng.integers(2, 8)), rng.uniform(0.05, 0.35)
        return polar((1 + depth * np.cos(lobes * angle)) / (1 + depth), angle)
    if kind == 4:  # a superellipse, from an ellipse to almost a rectangle
        angle, power = 2 * np.pi * (np.arange(56) + 0.5) / 56, rng.uniform(0.15, 1)
        corner = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return np.sign(corner) * np.abs(corner) ** power * [1, rng.uniform(0.3, 1)]
    return circle(48) * [1, rng.choice([1.0, rng.uniform(0.3, 1)])]


def angular(rng: Rng) -> Array:
    """Return the outline of a rolled section or a sign: L, T, U, H, cross, trapezoid, arrow, house or arch."""
    kind, a, b, c = int(rng.integers(9)), *rng.uniform(0.12, 0.6, 3)
    height = rng.uniform(0.4, 1.2)
    if kind == 0:  # L
        ring = [(0, 0), (1, 0), (1, b * height), (a, b * height), (a, height), (0, height)]
    elif kind == 1:  # T
        ring = [(-1, height), (-1, (1 - b) * height), (-a, (1 - b) * height), (-a, 0)]
        ring += [(-x, y) for x, y in ring[::-1]]
    elif kind == 2:  # U
        ring = [(-1, 0), (1, 0), (1, height), (1 - a, height), (1 - a, b * height)]
        ring += [(a - 1, b * height), (a - 1, height), (-1, height)]
    elif kind == 3:  # H, also an I-beam
        quarter = [(1, 0), (1, 0.7 * b * height), (a, 0.7 * b * height)]
        quarter += [(x, height - y) for x, y in quarter[::-1]]
        ring = quarter + [(-x, y) for x, y in quarter[::-1]]
    elif kind == 4:  # a cross
        ring = [(1, a * height), (a, a * height), (a, height), (-a, height), (-a, a * height), (-1, a * height)]
        ring += [(-x, -y) for x, y in ring]
    elif kind == 5:  # a trapezoid
        ring = [(-1, 0), (1, 0), (1 - a * 1.4, height), (-1 + (a if rng.random() < 0.5 else b) * 1.4, height)]
    elif kind == 6:  # an arrow
        ring = [(-1, -b / 2), (1 - a * 1.4, -b / 2), (1 - a * 1.4, -b / 2 - c), (1, 0)]
        ring += [(x, -y) for x, y in ring[2::-1]]
    elif kind == 7:  # a house
        ring = [(-1, 0), (1, 0), (1, height), (0, height + a * 1.5), (-1, height)]
    else:  # an arch, from a sickle to almost a ring
        half, inner = rng.uniform(0.4, 2.9), 1 - a
        angle = np.linspace(-half, half, 28) + np.pi / 2
        return fitted(np.concatenate([polar(1.0, angle), polar(inner, angle[::-1])]))
    return fitted(np.array(ring, dtype=float))


def cross_section(rng: Rng) -> Polygon:
    """Return a random cross-section, in a third of the cases with one hole or a ring of holes."""
    if rng.random() < 0.45:
        return Polygon(angular(rng) @ np.array([[0, 1], [-1, 0]]) if rng.random() < 0.3 else angular(rng))
    outline = radial(rng)
    if rng.random() < 0.5:
        return Polygon(outline)
    if rng.random() < 0.6:  # a ring of constant proportions
        return Polygon(outline, [outline * rng.uniform(0.4, 0.92)])
    inner = _inner_radius(outline)
    bore = [circle(32) * inner * rng.uniform(0.15, 0.45)]
    if rng.random() < 0.5:
        count, at = int(rng.integers(3, 9)), inner * 0.68
        size = min(0.2 * inner, 0.7 * at * np.sin(np.pi / count)) * rng.uniform(0.5, 1)
        bore += [circle(14) * size + center for center in circle(count) * at]
    return Polygon(outline, bore)


def _inner_radius(ring: Array) -> float:
    """Return the distance from the origin to the closest edge."""
    along = np.roll(ring, -1, axis=0) - ring
    fraction = np.clip(-(ring * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return float(np.linalg.norm(ring + fraction[:, None] * along, axis=1).min())


def _curve(rng: Rng, heights: Array) -> Array:
    """Return random radii between 0.12 and 1 at increasing heights: smooth, straight between few points, or stepped."""
    knots = int(rng.integers(2, 7))
    at = np.linspace(heights[0], heights[-1], knots)
    if knots > 2:
        at[1:-1] += rng.uniform(-0.35, 0.35, knots - 2) * (at[1] - at[0])
    radii = np.array([log_uniform(rng, 0.12, 1) for _ in at])
    if rng.random() < 0.7:
        return np.asarray(PchipInterpolator(at, radii)(heights))
    return np.interp(heights, at, radii)


def lathe_profile(rng: Rng) -> Polygon:
    """Return the profile of a vessel, a pipe, a bowl, a solid post, a stack of discs, or a ring."""
    kind = int(rng.integers(8))
    tall = log_uniform(rng, 0.4, 3)
    if kind == 0:  # a bowl: part of a spherical shell
        wall, end = log_uniform(rng, 0.03, 0.3), rng.uniform(-0.9, 1.1)
        angle = np.linspace(-np.pi / 2, end, 32)
        outer, inner = polar(1.0, angle), polar(1 - wall, angle[::-1])
        return _lathe(np.concatenate([outer, inner]))
    if kind == 1:  # a ring
        section = [radial, angular][int(rng.integers(2))](rng) * [1, rng.choice([1.0, log_uniform(rng, 0.2, 5)])]
        width = np.abs(section[:, 0]).max()
        return Polygon(section * log_uniform(rng, 0.05, 0.8) / width + [1.0, 0])
    if kind == 2:  # discs on an axis
        edges = np.concatenate([[0], np.cumsum([log_uniform(rng, 0.05, 0.7) for _ in range(int(rng.integers(2, 8)))])])
        radii = np.array([log_uniform(rng, 0.1, 1) for _ in edges[1:]])
        if rng.random() < 0.5:
            radii = (radii + radii[::-1]) / 2
        steps = np.stack([np.repeat(radii, 2), np.repeat(edges, 2)[1:-1]], axis=1)
        return Polygon(np.concatenate([[[0, 0]], steps, [[0, edges[-1]]]]))
    heights = np.linspace(0, tall, 26)
    radii = _curve(rng, heights)
    outer = np.stack([radii, heights], axis=1)
    if kind == 3:  # solid
        return Polygon(np.concatenate([[[0, 0]], outer, [[0, tall]]]))
    slope = np.gradient(radii, heights)
    walls = log_uniform(rng, 0.02, 0.1) * np.sqrt(1 + slope**2)
    if kind == 4:  # a pipe
        return Polygon(np.concatenate([outer, np.stack([np.maximum(radii - walls, 0.02), heights], axis=1)[::-1]]))
    # a vessel; with a high floor, a goblet or a candlestick
    floor = tall * (rng.uniform(0.35, 0.7) if rng.random() < 0.3 else 0) + log_uniform(rng, 0.03, 0.12) * min(tall, 1)
    within = np.append(floor, heights[heights > floor + 0.01])
    inner = np.maximum(np.interp(within, heights, radii - walls), 0.02)
    cavity = np.stack([inner, within], axis=1)[::-1]
    return Polygon(np.concatenate([[[0, 0]], outer, cavity, [[0, floor]]]))


def _lathe(ring: Array) -> Polygon:
    """Return the polygon of an outline, with distances from the axis that rounding made negative set to 0."""
    return Polygon(np.stack([np.maximum(ring[:, 0], 0), ring[:, 1]], axis=1))
