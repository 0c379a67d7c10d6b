"""Shapes made of primitives, with exact occupancy, an exact frame, and uniform samples inside and on the surface.

A solid is a union of primitives minus a union of others; a shape is a union of solids. Surface points are drawn on
single primitives by area. Points that another primitive buries or cuts away are dropped, so the remaining points are
uniform on the boundary. Primitives should overlap rather than touch, because coincident faces have no exact boundary.

Letters: P primitives of a shape, K points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import QUERY_BALL_RADIUS, Frame
from lagem.procedural.primitives.primitive import Array, Primitive


@dataclass(frozen=True)
class ProceduralSolid:
    """The union of `bodies` minus the union of `holes`.

    No hole may reach the bodies' outermost points, because the frame of a shape is computed from the bodies only.
    """

    bodies: Sequence[Primitive]
    holes: Sequence[Primitive] = ()


class ProceduralShape:
    """The union of solids, in the unit sphere.

    The union is moved so that the center of its bounding box is the origin, and scaled so that its farthest point has
    distance 1 from the origin. Both steps are exact.

    frame: maps the coordinates of the given solids to the unit sphere and back.
    """

    def __init__(self, solids: Sequence[ProceduralSolid]) -> None:
        bodies = [body for solid in solids for body in solid.bodies]
        bounds = np.stack([body.bounds() for body in bodies])
        center = bounds[:, 0].min(axis=0) / 2 + bounds[:, 1].max(axis=0) / 2
        self.frame = Frame(center=center, scale=1 / max(body.reach(center) for body in bodies))
        owned = [(i, p) for i, solid in enumerate(solids) for p in (*solid.bodies, *solid.holes)]
        self._primitives = [p.framed(self.frame) for _, p in owned]
        self._solid = np.array([i for i, _ in owned])
        self._hole = np.concatenate([np.repeat([False, True], [len(s.bodies), len(s.holes)]) for s in solids])
        self._num_solids = len(solids)

    def _membership(self, points: Array) -> NDArray[np.bool_]:
        """Return (P, K) booleans: whether each primitive contains each of the (3, K) points."""
        return np.stack([p.holds(points) for p in self._primitives])

    def _inside(self, member: NDArray[np.bool_], solid: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return two (K,) masks: whether each point is in a body of the solid, and whether it is in one of its holes.

        Args:
            member: (P, K) bool, as `_membership` returns it.
            solid: Index of the solid.
        """
        own = self._solid == solid
        return member[own & ~self._hole].any(axis=0), member[own & self._hole].any(axis=0)

    def occupancy(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return (K,) booleans: whether each of the (K, 3) points, in the unit-sphere frame, is inside the shape."""
        member = self._membership(_rows(points))
        occupied = np.zeros(len(points), dtype=bool)
        for solid in range(self._num_solids):
            filled, cut = self._inside(member, solid)
            occupied |= filled & ~cut
        return occupied

    def sample_surface(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (count, 3) points uniform on the boundary, in random order, and their (count, 3) outward normals."""
        areas = np.array([p.area for p in self._primitives])
        points, normals, found = [], [], 0
        while found < count:
            drawn = rng.multinomial(int(1.4 * (count - found)) + 64, areas / areas.sum())
            owner = np.repeat(np.arange(len(drawn)), drawn)
            local = [p.surface(n, rng) for p, n in zip(self._primitives, drawn, strict=True)]
            where = np.hstack([p.to_world(x) for p, (x, _) in zip(self._primitives, local, strict=True)])
            normal = np.hstack([p.turn(x) for p, (_, x) in zip(self._primitives, local, strict=True)])
            keep = self._exposed(where, owner)
            points.append(where[:, keep])
            normals.append(np.where(self._hole[owner], -normal, normal)[:, keep])
            found += int(keep.sum())
        chosen = rng.permutation(found)[:count]
        return _columns(np.hstack(points)[:, chosen]), _columns(np.hstack(normals)[:, chosen])

    def _exposed(self, points: Array, owner: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return (K,) booleans: whether each of the (3, K) points is on the boundary of the shape.

        Args:
            points: Points that were drawn on the boundaries of primitives.
            owner: (K,) index of the primitive on which each point was drawn.
        """
        member = self._membership(points)
        member[owner, np.arange(len(owner))] = False  # the primitive on which a point was drawn does not count
        exposed = np.ones(len(owner), dtype=bool)
        for solid in range(self._num_solids):
            filled, cut = self._inside(member, solid)
            own = np.where(self._hole[owner], filled & ~cut, ~filled & ~cut)
            exposed &= np.where(self._solid[owner] == solid, own, ~(filled & ~cut))
        return exposed

    @cached_property
    def _volumes(self) -> Array:
        """(P,) volume of the region in which candidates for points in each body are drawn; 0 for each hole."""
        return np.array([0.0 if h else p.candidate_volume for p, h in zip(self._primitives, self._hole, strict=True)])

    def sample_inside(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """Draw points uniformly inside the shape.

        For each point, a body is chosen in proportion to the volume of a region that holds it, for example its bounding
        box, and the point is drawn in that region. A point that the body does not contain, or that a hole cuts from the
        body, is rejected. A point that n bodies contain is accepted with probability 1/n, so the points are uniform in
        the union. If a hole cuts the point from a body, that body is not counted in n.

        Returns:
            (count, 3) points in random order, and the volume of the shape, estimated from the fraction of accepted
            points.
        """
        kept, found, tried = [], 0, 0
        while found < count:
            number = int(1.4 * (count - found)) + 64
            kept.append(self._drawn_inside(number, rng))
            found, tried = found + kept[-1].shape[1], tried + number
        volume = float(self._volumes.sum() * found / tried)
        return _columns(np.hstack(kept)[:, rng.permutation(found)[:count]]), volume

    def accepted_inside(self, tries: int, rng: np.random.Generator) -> tuple[float, float]:
        """Try points for `sample_inside`.

        Returns:
            The fraction of accepted points, and the volume of the shape that this fraction implies.
        """
        fraction = self._drawn_inside(tries, rng).shape[1] / tries
        return fraction, float(self._volumes.sum() * fraction)

    def _drawn_inside(self, tries: int, rng: np.random.Generator) -> Array:
        """Draw points for `sample_inside`, and return the accepted ones, (3, at most `tries`)."""
        drawn = rng.multinomial(tries, self._volumes / self._volumes.sum())
        owner = np.repeat(np.arange(len(drawn)), drawn)
        points = np.hstack([p.to_world(p.candidates(n, rng)) for p, n in zip(self._primitives, drawn, strict=True)])
        points = points.astype(np.float32).astype(np.float64)  # whether a point is inside is decided after rounding
        member = self._membership(points)
        holders = np.zeros(len(owner))
        mine = member[owner, np.arange(len(owner))]
        for solid in range(self._num_solids):
            own = (self._solid == solid) & ~self._hole
            cut = self._inside(member, solid)[1]
            holders += np.where(cut, 0, member[own].sum(axis=0))
            mine &= ~(cut & (self._solid[owner] == solid))
        return points[:, mine & (rng.random(len(owner)) * holders < 1)]

    def sample_outside(self, count: int, rng: np.random.Generator, within: float | None = None) -> NDArray[np.float32]:
        """Return (count, 3) uniform points that are outside the shape, but in the ball of radius sqrt(3).

        Args:
            count: Number of points.
            rng: Random generator.
            within: Draw the points in the ball of this radius instead. If the shape leaves too little of that ball
                empty, the missing points are drawn in the ball of radius sqrt(3).
        """
        kept, found = [], 0
        if within is not None and within < QUERY_BALL_RADIUS:
            points = uniform_in_ball(2 * count + 64, rng, within)
            kept.append(points[~self.occupancy(points)])
            found = len(kept[0])
        while found < count:
            points = uniform_in_ball(int(1.1 * (count - found)) + 64, rng)
            kept.append(points[~self.occupancy(points)])
            found += len(kept[-1])
        return np.concatenate(kept)[:count]


def uniform_in_ball(count: int, rng: np.random.Generator, radius: float = QUERY_BALL_RADIUS) -> NDArray[np.float32]:
    """Return (count, 3) points that are uniform in a ball around the origin; by default, that of volume queries."""
    points = rng.standard_normal((count, 3))
    distance = radius * np.cbrt(rng.random(count))
    return (points * (distance / np.linalg.norm(points, axis=1))[:, None]).astype(np.float32)


def _rows(points: NDArray[np.floating]) -> Array:
    return np.ascontiguousarray(points.T, dtype=np.float64)


def _columns(points: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(points.T, dtype=np.float32)
