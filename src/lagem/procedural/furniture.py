"""Eight categories of everyday objects as random solids, z up.

The longest side of an object is about 1 to 2 before the object is scaled into the unit sphere. Walls, legs and
boards are thick enough (at least about 0.06, in unit-sphere units) for a small network to learn.
"""

from collections.abc import Callable

import numpy as np

from lagem.procedural.primitives.basic import Ball, Box, Frustum, Torus
from lagem.procedural.primitives.primitive import Primitive
from lagem.procedural.solids import ProceduralShape, ProceduralSolid

Rng = np.random.Generator


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
    """Return the axis-aligned box between two corners."""
    a, b = np.array(low, dtype=float), np.array(high, dtype=float)
    return Box(center=(a + b) / 2, size=(b - a) / 2)


def cone(x: float, y: float, low: float, high: float, bottom: float, top: float | None = None) -> Frustum:
    """Return an upright frustum around (x, y), from height `low` to `high`.

    Its radius is `bottom` at the lower end and `top` at the upper end; without `top` it is a cylinder.
    """
    center = np.array([x, y, (low + high) / 2])
    return Frustum(center=center, size=np.array([bottom, bottom if top is None else top, (high - low) / 2]))


def tilted(degrees: float) -> np.ndarray:
    """Return the rotation about the x axis that leans an upright body backwards, towards +y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def legs(rng: Rng, x: float, y: float, top: float, radius: float) -> list[Primitive]:
    """Return four legs at (±x, ±y) from height 0 to `top`, at random either square or round."""
    corners = [(i * x, j * y) for i in (-1, 1) for j in (-1, 1)]
    if rng.random() < 0.5:
        return [box((a - radius, b - radius, 0), (a + radius, b + radius, top)) for a, b in corners]
    foot = radius * rng.uniform(0.7, 1.0)
    return [cone(a, b, 0, top, foot * 1.1, radius * 1.1) for a, b in corners]


def table(rng: Rng) -> ProceduralShape:
    x, y, height = rng.uniform(0.5, 0.85), rng.uniform(0.35, 0.55), rng.uniform(0.6, 1.0)
    thick, radius = rng.uniform(0.08, 0.13), rng.uniform(0.05, 0.08)
    under = height - thick / 2
    if rng.random() < 0.3:  # round, on one foot
        disc = cone(0, 0, height - thick, height, y * 1.2)
        foot = cone(0, 0, 0, rng.uniform(0.07, 0.1), y * rng.uniform(0.6, 0.9))
        return ProceduralShape([ProceduralSolid([disc, foot, cone(0, 0, 0.03, under, radius * 1.5)])])
    bodies: list[Primitive] = [box((-x, -y, height - thick), (x, y, height))]
    bodies += legs(rng, x - radius * 1.5, y - radius * 1.5, under, radius)
    if rng.random() < 0.4:  # a shelf between the legs
        at = height * rng.uniform(0.25, 0.45)
        bodies.append(box((-x + radius, -y + radius, at), (x - radius, y - radius, at + 0.07)))
    return ProceduralShape([ProceduralSolid(bodies)])


def chair(rng: Rng) -> ProceduralShape:
    x, y, seat = rng.uniform(0.32, 0.45), rng.uniform(0.32, 0.45), rng.uniform(0.5, 0.7)
    thick, radius, back = rng.uniform(0.08, 0.12), rng.uniform(0.045, 0.065), rng.uniform(0.5, 0.8)
    bodies: list[Primitive] = [box((-x, -y, seat - thick), (x, y, seat))]
    bodies += legs(rng, x - radius * 1.3, y - radius * 1.3, seat - thick / 2, radius)
    lean, half = rng.uniform(0, 12), np.array([x * 0.97, rng.uniform(0.04, 0.055), back / 2])
    turn = tilted(lean)
    hinge = np.array([0, y - half[1] - 0.01, seat - thick / 2])
    if rng.random() < 0.6:
        bodies.append(Box(center=hinge + turn @ [0, 0, half[2]], size=half, rotation=turn))
    else:  # two posts and rails
        for side in (-1, 1):
            post = np.array([half[1], half[1], half[2]])
            bodies.append(
                Box(center=hinge + turn @ [side * (x * 0.97 - half[1]), 0, half[2]], size=post, rotation=turn)
            )
        for level in np.linspace(0.55, 0.88, 2):
            rail = np.array([half[0] - half[1], half[1] * 0.9, 0.08 * back])
            bodies.append(Box(center=hinge + turn @ [0, 0, back * level], size=rail, rotation=turn))
    if rng.random() < 0.4:  # arms
        rise = back * rng.uniform(0.3, 0.45)
        for side in (-1, 1):
            outer, inner = side * (x + 0.02), side * (x - 0.08)
            near, far = min(outer, inner), max(outer, inner)
            bodies.append(box((near, -y * 0.9, seat + rise), (far, y, seat + rise + 0.07)))
            bodies.append(
                box((near + 0.01, -y * 0.85, seat - thick / 2), (far - 0.01, -y * 0.85 + 0.08, seat + rise + 0.03))
            )
    return ProceduralShape([ProceduralSolid(bodies)])


def lamp(rng: Rng) -> ProceduralShape:
    foot, height = rng.uniform(0.28, 0.42), rng.uniform(1.0, 1.6)
    wide, drop = rng.uniform(0.35, 0.55), rng.uniform(0.4, 0.6)
    narrow = wide * rng.uniform(0.45, 0.9)
    thick, wall = rng.uniform(0.07, 0.1), 0.09
    stand = ProceduralSolid(
        [cone(0, 0, 0, thick, foot, foot * 0.85), cone(0, 0, thick / 2, height - wall / 2, rng.uniform(0.055, 0.08))]
    )
    shade = cone(0, 0, height - drop, height, wide, narrow)
    slope = (narrow - wide) / drop
    low, high = height - drop - 0.1, height - wall
    inner = cone(0, 0, low, high, wide - wall - 0.1 * slope, narrow - wall - wall * slope)
    return ProceduralShape([stand, ProceduralSolid([shade], [inner])])


def shelf(rng: Rng) -> ProceduralShape:
    x, y, height = rng.uniform(0.35, 0.6), rng.uniform(0.18, 0.3), rng.uniform(1.0, 1.7)
    thick, boards = rng.uniform(0.07, 0.1), int(rng.integers(3, 6))
    bodies: list[Primitive] = [box((-x, -y, 0), (-x + thick, y, height)), box((x - thick, -y, 0), (x, y, height))]
    for low in np.linspace(0.02, height - thick - 0.02, boards):
        bodies.append(box((-x + thick / 2, -y + 0.015, low), (x - thick / 2, y - 0.015, low + thick)))
    if rng.random() < 0.5:
        bodies.append(box((-x + thick / 2, y - 0.1, 0.04), (x - thick / 2, y - 0.03, height - 0.04)))
    return ProceduralShape([ProceduralSolid(bodies)])


def mug(rng: Rng) -> ProceduralShape:
    bottom, height = rng.uniform(0.38, 0.5), rng.uniform(0.8, 1.2)
    top, wall = bottom * rng.uniform(0.95, 1.2), rng.uniform(0.08, 0.12)
    inner = cone(0, 0, wall, height + 0.2, bottom - wall, top - wall + (top - bottom) * 0.2 / height)
    tube, ring = rng.uniform(0.055, 0.075), height * rng.uniform(0.24, 0.32)
    upright = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # the ring's axis along y
    handle = Torus(
        center=np.array([(bottom + top) / 2 - wall / 2, 0, height * rng.uniform(0.48, 0.56)]),
        size=np.array([ring, tube]),
        rotation=upright,
    )
    return ProceduralShape([ProceduralSolid([cone(0, 0, 0, height, bottom, top), handle], [inner])])


def bench(rng: Rng) -> ProceduralShape:
    x, y, seat = rng.uniform(0.8, 1.1), rng.uniform(0.22, 0.34), rng.uniform(0.4, 0.55)
    thick, inset, side = rng.uniform(0.09, 0.13), rng.uniform(0.08, 0.25), rng.uniform(0.1, 0.16)
    bodies: list[Primitive] = [box((-x, -y, seat - thick), (x, y, seat))]
    for sign in (-1, 1):
        at = sign * (x - inset - side / 2)
        bodies.append(box((at - side / 2, -y * 0.9, 0), (at + side / 2, y * 0.9, seat - thick / 2)))
    if rng.random() < 0.5:
        bodies.append(box((-x + 0.02, y - 0.12, seat - thick / 2), (x - 0.02, y - 0.02, seat + rng.uniform(0.35, 0.5))))
    if rng.random() < 0.5:  # a bar between the sides
        low = seat * rng.uniform(0.25, 0.4)
        bodies.append(box((-x + inset + side / 2, -0.06, low), (x - inset - side / 2, 0.06, low + 0.1)))
    return ProceduralShape([ProceduralSolid(bodies)])


def bottle(rng: Rng) -> ProceduralShape:
    body, straight = rng.uniform(0.26, 0.36), rng.uniform(0.55, 0.9)
    neck, shoulder, long = rng.uniform(0.12, 0.15), rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.35)
    top = straight + shoulder + long
    bodies: list[Primitive] = [
        cone(0, 0, 0, straight, body),
        cone(0, 0, straight - 1e-3, straight + shoulder, body, neck),
        cone(0, 0, straight + shoulder - 0.02, top, neck),
    ]
    if rng.random() < 0.5:  # a rounded stopper, else a lip
        bodies.append(Ball(center=np.array([0, 0, top]), size=np.array([neck * 1.25])))
    else:
        bodies.append(Torus(center=np.array([0, 0, top - 0.06]), size=np.array([neck, 0.06])))
    return ProceduralShape([ProceduralSolid(bodies)])


def sign(rng: Rng) -> ProceduralShape:
    height, radius = rng.uniform(1.1, 1.7), rng.uniform(0.055, 0.08)
    foot, half = rng.uniform(0.28, 0.4), rng.uniform(0.05, 0.07)
    bodies: list[Primitive] = [cone(0, 0, 0, 0.09, foot, foot * 0.8), cone(0, 0, 0.05, height, radius)]
    kind = int(rng.integers(3))
    x, z = rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.4)
    facing = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    if kind == 0:
        bodies.append(Frustum(center=np.array([0, 0, height]), size=np.array([x, x, half + 0.03]), rotation=facing))
    elif kind == 1:
        bodies.append(box((-x, -radius - 0.03, height - z), (x, radius + 0.03, height + z * 0.8)))
    else:  # a way-marker: two boards that point to either side
        for side, low in ((1, height - 0.3), (-1, height - 0.62)):
            near, far = sorted((-side * radius * 2, side * (x + 0.2)))
            bodies.append(box((near, -radius - 0.03, low), (far, radius + 0.03, low + 0.22)))
    return ProceduralShape([ProceduralSolid(bodies)])


CATEGORIES: dict[str, Callable[[Rng], ProceduralShape]] = {
    "table": table,
    "chair": chair,
    "lamp": lamp,
    "shelf": shelf,
    "mug": mug,
    "bench": bench,
    "bottle": bottle,
    "sign": sign,
}
