"""Random assemblies of 2 to 12 parts: stacks, rows, mirrored and radial arrays, grids of bars, plates on legs, racks.

Neighbours overlap, and their sizes differ a little, because coincident faces have no exact boundary. Images of a
mirrored or turned part do not overlap, except where a thicker body covers the overlap.
"""

import numpy as np

from lagem.procedural.bodies import ALONG, ORIGIN, drilled, filling, half_extents, rod
from lagem.procedural.outlines import Rng, log_uniform
from lagem.procedural.primitives.basic import Ball, Box, Frustum, Torus
from lagem.procedural.primitives.primitive import Array, Primitive
from lagem.procedural.primitives.rounded import Ellipsoid
from lagem.procedural.solids import ProceduralSolid


def about_z(angle: float) -> Array:
    """Return the (3, 3) rotation about the z axis by an angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def line(rng: Rng) -> list[ProceduralSolid]:
    """Return a stack of parts along z, or a row of parts along x or y."""
    bodies: list[Primitive] = []
    top, before, symmetric = 0.0, 0.0, rng.random() < 0.4
    halves = [half_extents(rng, 0.12, 0.8) for _ in range(int(rng.integers(2, 6)))]
    for half in halves:
        half[2] = log_uniform(rng, 0.04, 0.6)
        sunk = 0.25 * min(before, half[2])
        bodies.append(filling(rng, half).moved([0, 0, top - sunk + half[2]]))
        top, before = top - sunk + 2 * half[2], half[2]
    if symmetric and len(bodies) > 2:  # the first part is the middle, and the others are on both of its sides
        middle = halves[0][2]
        bodies = [body.moved([0, 0, -middle]) for body in bodies]
        bodies += [body.mirrored(2) for body in bodies[1:]]
    axis = 2 if rng.random() < 0.6 else int(rng.integers(2))
    return [ProceduralSolid([body.rotated(ALONG[axis]) for body in bodies])]


def mirrored(rng: Rng) -> list[ProceduralSolid]:
    """Return a body with one to four pairs of parts on its two sides, and in some cases a part on top."""
    half = half_extents(rng, 0.25, 0.9)
    body: Primitive = Box(ORIGIN, half)
    rounded = rng.random() < 0.4
    if rounded:
        body = Ellipsoid(ORIGIN, half)
    bodies = [body]
    for _ in range(int(rng.integers(1, 5))):
        side = half_extents(rng, 0.05, 0.7) * [1, half[1], half[2]]
        at = np.zeros(3) if rounded else np.array([0, *(rng.uniform(-1, 1, 2) * (half[1:] - 0.5 * side[1:]))])
        sunk = min(0.3 * half[0], 0.5 * side[0]) * rng.uniform(0.8, 1)
        at[0] = half[0] + side[0] - sunk
        part = filling(rng, side).moved(at)
        if not part.holds(at[:, None] - [[side[0] - sunk / 2], [0], [0]]).all():
            part = Box(at, side)
        bodies += [part, part.mirrored(0)]
    if rng.random() < 0.5:
        cap = half_extents(rng, 0.1, 0.8) * half
        bodies.append(filling(rng, cap).moved([0, 0, half[2] + 0.6 * cap[2]]))
    return [ProceduralSolid(bodies)]


def wheel(rng: Rng) -> list[ProceduralSolid]:
    """Return equal arms around a hub, with or without a rim: a wheel, a propeller, a star of rods."""
    count, width = int(rng.integers(3, 11)), log_uniform(rng, 0.025, 0.12)
    inner = 1.2 * width / np.sin(np.pi / count) + 0.04
    hub = max(inner, rng.uniform(0.1, 0.45))
    height = width * rng.uniform(1.1, 3)
    bodies: list[Primitive] = [Frustum(ORIGIN, np.array([hub, hub * rng.choice([1.0, rng.uniform(0.9, 1)]), height]))]
    start, end = np.array([0.3 * hub, 0, 0]), np.array([1.0, 0, rng.choice([0.0, rng.uniform(-0.3, 0.6)])])
    kind = int(rng.integers(4))
    rim = rng.random() < 0.45 and kind < 2 and end[2] == 0
    if kind == 0 or end[2]:
        arm: Primitive = rod(start, end, width)
    elif kind == 1:
        arm = Box((start + end) / 2, np.array([0.5 - 0.15 * hub, width, width * rng.uniform(0.3, 0.9)]))
    elif kind == 2:
        arm = Ellipsoid(np.array([0.5 + hub / 2, 0, 0]), np.array([0.5, width, width * rng.uniform(0.3, 0.9)]))
    else:
        arm = Frustum((start + end) / 2, np.array([width, width * rng.uniform(0.2, 1), 0.5 - 0.15 * hub]), ALONG[0])
    arms = [arm]
    if rng.random() < 0.25 and not rim and count <= 6:
        arms.append(Ball(end, np.array([min(1.6 * width, 0.8 * np.sin(np.pi / count))])))
    bodies += [part.rotated(about_z(2 * np.pi * k / count)) for k in range(count) for part in arms]
    if rim:
        bodies.append(Torus(ORIGIN, np.array([1.0, width * rng.uniform(1.05, 1.8)])))
    turn = ALONG[2 if rng.random() < 0.5 else 1]
    return [ProceduralSolid([body.rotated(turn) for body in bodies])]


def grid(rng: Rng) -> list[ProceduralSolid]:
    """Return crossing bars: a grating, a ladder, a fence."""
    columns, rows = int(rng.integers(2, 7)), int(rng.integers(1, 7))
    wide, tall = 1.0, log_uniform(rng, 0.3, 1)
    thick = 0.4 * min(wide / columns, tall / rows, 0.25) * log_uniform(rng, 0.3, 1)
    other, over = thick * rng.uniform(0.6, 0.95), rng.uniform(0.0, 0.25, 2) + thick * 1.3
    square = rng.random() < 0.5
    bodies: list[Primitive] = []
    for x in np.linspace(-wide, wide, columns):
        ends = np.array([x, 0, -tall - over[0]]), np.array([x, 0, tall + over[0]])
        half = np.array([thick, thick * 0.97, tall + over[0]])
        bodies.append(Box(np.array([x, 0, 0]), half) if square else rod(*ends, thick, flat=True))
    for z in np.linspace(-tall, tall, rows) if rows > 1 else [0.0]:
        ends = np.array([-wide - over[1], 0, z]), np.array([wide + over[1], 0, z])
        half = np.array([wide + over[1], other, other * 0.98])
        bodies.append(Box(np.array([0, 0, z]), half) if square else rod(*ends, other, flat=rng.random() < 0.9))
    return [ProceduralSolid(bodies)]


def on_legs(rng: Rng) -> list[ProceduralSolid]:
    """Return a plate or a body on legs, with a back, a column or a lower plate in some cases."""
    half = half_extents(rng, 0.4, 1.0)
    half[2] = log_uniform(rng, 0.03, 0.3)
    long, thick = log_uniform(rng, 0.15, 2), log_uniform(rng, 0.03, 0.12)
    kind, splay = int(rng.integers(3)), rng.choice([1.0, rng.uniform(0.8, 1.5)])
    start = np.array([*(half[:2] * (0.62 if kind else 0.66)), 0])
    plate = filling(rng, half)
    if isinstance(plate, Ellipsoid) or not plate.contains(start[:, None]).all():
        plate = Box(ORIGIN, half)
    solids = [drilled(rng, plate)] if isinstance(plate, Box) and rng.random() < 0.15 else [ProceduralSolid([plate])]
    end = np.array([*(start[:2] * splay), -half[2] - long])
    if kind < 2:
        leg: Primitive = rod(start, end, thick, flat=thick > 0.5 * half[2] or rng.random() < 0.5)
    else:
        leg = Box(
            np.array([*start[:2], end[2] / 2]), np.array([thick, thick * rng.uniform(0.5, 1), -end[2] / 2 * 0.99])
        )
    if rng.random() < 0.2 and half[0] == half[1]:
        legs = [leg.rotated(about_z(2 * np.pi * k / 3)) for k in range(3)]
    else:
        legs = [leg, leg.mirrored(0), leg.mirrored(1), leg.mirrored(0).mirrored(1)]
    extra, bodies = rng.random(), list(legs)
    if extra < 0.25:  # a back
        back = np.array([half[0] * 0.9, thick * 0.7, rng.uniform(0.2, 0.8)])
        bodies.append(Box(np.array([0, 0.8 * half[1], back[2] - 0.5 * half[2]]), back))
    elif extra < 0.45:  # a lower plate
        lower = np.array([*(half[:2] * 0.8 * max(1, splay)), thick * 0.6])
        bodies.append(Box(np.array([0, 0, -half[2] - long * rng.uniform(0.3, 0.8)]), lower))
    elif extra < 0.6:  # something on top
        top = half_extents(rng, 0.1, 0.9) * [*half[:2], 0.6]
        bodies.append(filling(rng, top).moved([0, 0, half[2] + 0.8 * top[2]]))
    return [*solids, ProceduralSolid(bodies)]


def rack(rng: Rng) -> list[ProceduralSolid]:
    """Return boards between two sides or four posts, or discs on a column."""
    count, tall = int(rng.integers(2, 7)), log_uniform(rng, 0.3, 1.5)
    wide, deep = rng.uniform(0.3, 1), rng.uniform(0.15, 0.6)
    thick = 0.3 * tall / count * log_uniform(rng, 0.15, 1)
    heights = np.linspace(-tall, tall, count) * rng.uniform(0.75, 0.95)
    post, kind = log_uniform(rng, 0.02, 0.08), int(rng.integers(3))
    if kind == 0:  # discs
        discs = [Frustum(np.array([0, 0, z]), np.array([wide, wide, thick])) for z in heights]
        return [ProceduralSolid([*discs, rod(np.array([0, 0, -tall]), np.array([0, 0, tall]), post, flat=True)])]
    boards: list[Primitive] = [Box(np.array([0, 0, z]), np.array([wide, deep, thick])) for z in heights]
    if kind == 1:
        side: Primitive = Box(np.array([wide, 0, 0]), np.array([post, deep * rng.choice([0.96, 1.04]), tall]))
        return [ProceduralSolid([*boards, side, side.mirrored(0)])]
    foot = np.array([0.9 * wide, 0.85 * deep, -tall])
    leg = rod(foot, foot * [1, 1, -1], post, flat=True)
    return [ProceduralSolid([*boards, *(m for p in (leg, leg.mirrored(0)) for m in (p, p.mirrored(1)))])]
