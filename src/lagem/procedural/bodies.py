"""Random parts of man-made objects: single bodies, with or without holes, turned and extruded ones, shells and tubes.

The longest side of a body of `single`, `extruded`, `turned`, `shell` or `tube` is about 1 to 3; the other functions are
given the size of their part. No hole reaches a corner or a rim of a body, so the frame of a shape stays exact.
Every length is drawn anew, because faces of different parts must not coincide.
"""

import numpy as np

from lagem.procedural.outlines import (
    Rng,
    circle,
    cross_section,
    lathe_profile,
    log_uniform,
    radial,
)
from lagem.procedural.primitives.basic import Ball, Box, Frustum, Torus
from lagem.procedural.primitives.polygon import Polygon
from lagem.procedural.primitives.primitive import Array, Primitive
from lagem.procedural.primitives.rounded import Capsule, Ellipsoid
from lagem.procedural.primitives.swept import Extrusion, Revolution
from lagem.procedural.solids import ProceduralSolid

ORIGIN = np.zeros(3)
THINNEST = 0.02
ALONG = np.array([[[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.eye(3)])  # z to an axis


def filling(rng: Rng, half: Array) -> Primitive:
    """Return a body around the origin with the given (3,) half extents: a box, cylinder, ellipsoid, prism or cone."""
    kind = int(rng.integers(7))
    x, y, z = half
    if kind <= 1:
        return Box(ORIGIN, half)
    if kind == 2:
        return Ellipsoid(ORIGIN, half)
    if kind <= 4 and x == y:
        return Frustum(ORIGIN, np.array([x, x * (1 if kind == 3 else rng.uniform(0.25, 0.95)), z]))
    outline = circle(40) if kind == 3 else radial(rng)
    low, high = outline.min(axis=0), outline.max(axis=0)
    outline = (2 * outline - low - high) / (high - low) * half[:2]
    return Extrusion(ORIGIN, np.array([1.0, z]), polygon=Polygon(outline))


def half_extents(rng: Rng, low: float, high: float) -> Array:
    """Return (3,) half extents, of which the first two are often equal."""
    half = np.array([log_uniform(rng, low, high) for _ in range(3)])
    if rng.random() < 0.5:
        half[1] = half[0]
    return half


def single(rng: Rng) -> list[ProceduralSolid]:
    """Return one primitive, down to 0.02 of its size thin, with holes in some cases."""
    half = half_extents(rng, THINNEST if rng.random() < 0.5 else 0.15, 1.0)
    half[rng.integers(3)] = 1.0
    kind = int(rng.integers(7))
    if kind <= 1:
        return [drilled(rng, Box(ORIGIN, half)) if rng.random() < 0.4 else ProceduralSolid([Box(ORIGIN, half)])]
    if kind == 2:
        top = half[0] * rng.choice([1.0, rng.uniform(0, 1)])
        body = Frustum(ORIGIN, np.array([half[0], top, half[2]]))
        return [drilled(rng, body) if top > 0.4 * half[0] and rng.random() < 0.4 else ProceduralSolid([body])]
    if kind == 3:
        return [ProceduralSolid([Torus(ORIGIN, np.array([1.0, log_uniform(rng, 0.03, 0.9)]), ALONG[rng.integers(3)])])]
    if kind == 4:
        return [ProceduralSolid([Ball(ORIGIN, np.ones(1))])]
    if kind == 5:
        return [ProceduralSolid([Ellipsoid(ORIGIN, half)])]
    size = np.array([log_uniform(rng, 0.04, 1.0), rng.uniform(0.3, 1)])
    return [ProceduralSolid([Capsule(ORIGIN, size, ALONG[rng.integers(3)])])]


def drilled(rng: Rng, body: Box | Frustum) -> ProceduralSolid:
    """Return a body with a bore, a row or a square of round holes, a slot, or a rectangular window."""
    if isinstance(body, Box):
        axis, half = int(rng.integers(3)), body.size
    else:
        axis, half = 2, np.array([*np.repeat(body.size[:2].min() / np.sqrt(2), 2), body.size[2]])
    across = [i for i in range(3) if i != axis]
    a, b = half[across]
    through = 1.1 * half[axis]
    lift = 0.0 if rng.random() < 0.75 else rng.uniform(0.5, 1.5) * half[axis]  # a blind hole
    kind, holes = int(rng.integers(4)), []
    places = [(0.0, 0.0)]
    if kind == 0:  # a row
        count = int(rng.integers(2, 6))
        places = [(float(at), 0.0) for at in np.linspace(-0.7, 0.7, count) * a]
        radius = min(0.5 * a / count, 0.7 * b) * rng.uniform(0.6, 1)
    elif kind == 1:
        places = [(i * 0.55 * a, j * 0.55 * b) for i in (-1, 1) for j in (-1, 1)]
        radius = 0.35 * min(a, b) * rng.uniform(0.5, 1)
    elif kind == 2:
        radius = min(a, b) * rng.uniform(0.3, 0.85)
    else:
        window = np.empty(3)
        window[across], window[axis] = np.array([a, b]) * rng.uniform(0.3, 0.85, 2), through
        center = np.zeros(3)
        center[axis] = lift
        return ProceduralSolid([body], [Box(center, window)])
    for u, v in places:
        center = np.zeros(3)
        center[across], center[axis] = (u, v), lift
        holes.append(Frustum(center, np.array([radius, radius, through]), ALONG[axis]))
    return ProceduralSolid([body], holes)


def extruded(rng: Rng) -> list[ProceduralSolid]:
    """Return an extruded cross-section, upright or lying."""
    size = np.array([1.0, log_uniform(rng, THINNEST, 2)])
    body = Extrusion(ORIGIN, size, ALONG[2 if rng.random() < 0.6 else rng.integers(2)], polygon=cross_section(rng))
    return [ProceduralSolid([body])]


def turned(rng: Rng) -> list[ProceduralSolid]:
    """Return a body from a lathe, most often upright."""
    turn = ALONG[2 if rng.random() < 0.8 else rng.integers(2)]
    return [ProceduralSolid([Revolution(ORIGIN, np.ones(1), turn, polygon=lathe_profile(rng))])]


def shell(rng: Rng) -> list[ProceduralSolid]:
    """Return a hollow body: a box or a prism that is open at one or both ends, or a closed box with windows."""
    wall, tall = log_uniform(rng, 0.03, 0.2), log_uniform(rng, 0.15, 1.6)
    opening = int(rng.integers(3))  # 0 at the top, 1 at both ends, 2 windows
    floor = wall * rng.uniform(0.7, 1.3)
    above = 0.3
    low = -tall - above if opening == 1 else -tall + floor
    middle, depth = (tall + above + low) / 2, (tall + above - low) / 2
    if opening < 2 and rng.random() < 0.5:
        outline, inner = radial(rng), 1 - wall
        center = np.array([0, 0, middle])
        hole = Extrusion(center, np.array([inner, depth]), polygon=Polygon(outline))
        return [ProceduralSolid([Extrusion(ORIGIN, np.array([1.0, tall]), polygon=Polygon(outline))], [hole])]
    half = np.array([1.0, rng.choice([1.0, log_uniform(rng, 0.25, 1)]), tall])
    wall *= half[1]
    body = Box(ORIGIN, half)
    if opening < 2:
        return [ProceduralSolid([body], [Box(np.array([0, 0, middle]), np.array([1 - wall, half[1] - wall, depth]))])]
    wall = min(wall, 0.3 * tall)
    holes: list[Primitive] = [Box(ORIGIN, half - wall)]
    for axis in rng.permutation(3)[: rng.integers(1, 4)]:
        window = (half - wall) * rng.uniform(0.35, 0.9)
        center = np.zeros(3)
        if rng.random() < 0.5:  # through both sides, else one
            window[axis] = 1.1 * half[axis]
        else:
            window[axis] = center[axis] = 0.6 * half[axis]
        holes.append(Box(center, window))
    return [ProceduralSolid([body], holes)]


def rod(start: Array, end: Array, radius: float, flat: bool = False) -> Primitive:
    """Return a rod between two points: a capsule, or with `flat` a cylinder."""
    along = end - start
    length = float(np.linalg.norm(along))
    z = along / length
    x = np.cross(z, [0.0, 1, 0] if abs(z[1]) < 0.9 else [1.0, 0, 0])
    x /= np.linalg.norm(x)
    turn = np.stack([x, np.cross(z, x), z], axis=1)
    center = (start + end) / 2
    if flat:
        return Frustum(center, np.array([radius, radius, length / 2]), turn)
    return Capsule(center, np.array([radius, length / 2]), turn)


def tube(rng: Rng) -> list[ProceduralSolid]:
    """Return a bent rod, in some cases on a foot: a spring, arc, wave, spiral, hook, frame or pipe."""
    kind, radius = int(rng.integers(7)), log_uniform(rng, 0.03, 0.14)
    t = np.linspace(0, 1, 33)[:, None]
    if kind == 0:  # a spring
        turns, rise = rng.uniform(1.5, 4), rng.uniform(0.7, 2.5)
        radius = min(radius, 0.35 * rise / turns)
        t = np.linspace(0, 1, int(14 * turns))[:, None]
        angle, width = 2 * np.pi * turns * t, 1 - t * rng.choice([0.0, rng.uniform(0, 0.8)])
        points = np.hstack([width * np.cos(angle), width * np.sin(angle), rise * t])
    elif kind == 1:  # an arc
        angle = (t - 0.5) * rng.uniform(0.8, 5.6)
        points = np.hstack([np.sin(angle), 0 * t, np.cos(angle) * rng.uniform(0.5, 1)])
    elif kind == 2:  # a wave
        waves, height = rng.choice([0.5, 1, 1.5, 2, 3]), rng.uniform(0.15, 0.5)
        points = np.hstack([2 * t - 1, 0 * t, height * np.sin(2 * np.pi * waves * t)])
    elif kind == 3:  # a spiral
        turns = rng.uniform(1.2, 2.5)
        radius = min(radius, 0.3 / turns)
        t = np.linspace(0.12, 1, 40)[:, None]
        points = np.hstack([t * np.cos(2 * np.pi * turns * t), 0 * t, t * np.sin(2 * np.pi * turns * t)])
    elif kind == 4:  # a hook: a straight rod that ends in an arc
        angle, long = t[::2] * rng.uniform(1.5, 4.5), rng.uniform(0.5, 2.5)
        bend = np.hstack([0.5 * np.cos(angle) - 0.5, 0 * angle, 0.5 * np.sin(angle)])
        points = np.vstack([[[0, 0, -long]], bend])
    elif kind == 5:  # a closed frame
        corners = int(rng.integers(3, 8))
        ring = circle(corners, np.pi / (4 if corners == 4 else 2)) * [1, rng.uniform(0.5, 1)]
        points = np.hstack([ring[:, :1], np.zeros((len(ring), 1)), ring[:, 1:]])
        points = np.vstack([points, points[:1]])
    else:  # a pipe
        axes, steps = [int(rng.integers(3))], int(rng.integers(2, 8))
        while len(axes) < steps:
            axes.append(int(rng.choice([axis for axis in range(3) if axis != axes[-1]])))
        signs = np.where(rng.random(steps) < 0.75, 1, -1)
        points = np.cumsum(
            [s * np.eye(3)[axis] * rng.uniform(0.4, 1.2) for axis, s in zip(axes, signs, strict=True)], 0
        )
        points = np.vstack([np.zeros(3), points])
        radius *= 1.5
    if kind < 4:  # steps much shorter than the radius would bury most of each capsule
        length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
        steps = int(np.clip(length / (0.8 * radius), 6, len(points) - 1))
        points = points[np.linspace(0, len(points) - 1, steps + 1).round().astype(int)]
    # Neighbours share the ball at their joint, so the radius grows a little: the outer side of a bend belongs to one.
    radii = radius * np.linspace(1, 1.004, len(points) - 1)
    bodies = [rod(a, b, r) for a, b, r in zip(points, points[1:], radii, strict=False)]
    if rng.random() < 0.25:
        foot = points[points[:, 2].argmin()]
        bodies.append(Frustum(foot, np.array([rng.uniform(2, 5), rng.uniform(1.5, 4), rng.uniform(0.3, 0.8)]) * radius))
    return [ProceduralSolid(bodies)]
