"""Polygons with holes: containment, and uniform points inside and on the outline.

The lines y = const through all vertices cut a polygon into slabs. In a slab, the polygon is a row of trapezoids, and
these make every question about its inside simple.

Letters: E edges, S slabs, T trapezoids in the fullest slab, K points. Points are (2, K) float64.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lagem.procedural.primitives.primitive import Array


class Polygon:
    """The points inside an outline and outside its holes.

    starts, ends: (E, 2) ends of the edges; the polygon is to the left of each edge.
    normals: (E, 2) outward normals of the edges.
    lengths: (E,) lengths of the edges.
    """

    def __init__(self, outline: Array, holes: Sequence[Array] = ()) -> None:
        """Make a polygon.

        Args:
            outline: (N, 2) vertices, in either direction. The outline must not cross or touch itself.
            holes: Outlines that lie inside, and do not cross or touch each other or the outline.
        """
        rings = [
            ring if (_signed_area(ring) > 0) == (i == 0) else ring[::-1] for i, ring in enumerate((outline, *holes))
        ]
        starts, ends = np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
        lengths = np.linalg.norm(ends - starts, axis=1)
        self._rings = rings
        self.starts, self.ends, self.lengths = starts[lengths > 0], ends[lengths > 0], lengths[lengths > 0]
        along = (self.ends - self.starts) / self.lengths[:, None]
        self.normals = np.stack([along[:, 1], -along[:, 0]], axis=1)

    def flipped(self) -> "Polygon":
        """Return the mirror image in the line x = 0."""
        outline, *holes = (ring * [-1, 1] for ring in self._rings)
        return Polygon(outline, holes)

    @cached_property
    def _levels(self) -> Array:
        """(S + 1,) heights between which the slabs lie."""
        return np.unique(self.starts[:, 1])

    @cached_property
    def _trapezoids(self) -> tuple[Array, NDArray[np.bool_]]:
        """(2, 2, T, S) abscissas of the left and right sides (axis 0) at the bottom and the top (axis 1), and a mask.

        The mask (T, S) says which trapezoids exist.
        """
        steep = self.starts[:, 1] != self.ends[:, 1]
        (ax, ay), (bx, by) = self.starts[steep].T[..., None], self.ends[steep].T[..., None]
        low, high = self._levels[:-1], self._levels[1:]
        spans = (np.minimum(ay, by) <= low) & (np.maximum(ay, by) >= high)
        at = np.stack([ax + (y - ay) / (by - ay) * (bx - ax) for y in (low, high)])
        order = np.argsort(np.where(spans, at.sum(axis=0), np.inf), axis=0)[: spans.sum(axis=0).max()]
        at = np.take_along_axis(at, order[None], axis=1)
        return np.stack([at[:, 0::2], at[:, 1::2]]), np.take_along_axis(spans, order, axis=0)[1::2]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Return (K,) booleans: whether each of the (2, K) points is inside."""
        (x, y), levels = points, self._levels
        sides, real = self._trapezoids
        slab = np.clip(np.searchsorted(levels, y, side="right") - 1, 0, len(levels) - 2)
        rise = (y - levels[slab]) / (levels[slab + 1] - levels[slab])
        inside = np.zeros(len(x), dtype=bool)
        for (left, right), exists in zip(sides.transpose(2, 0, 1, 3), real, strict=True):
            a, b = (side[0][slab] + rise * (side[1] - side[0])[slab] for side in (left, right))
            inside |= (a <= x) & (x <= b) & exists[slab]
        return inside & (rise >= 0) & (rise <= 1)

    def _widths(self, power: int) -> Array:
        """Return (3, T, S) values of (right**power - left**power) / power at the bottom, middle and top."""
        sides, real = self._trapezoids
        left, right = (np.stack([side[0], side.mean(axis=0), side[1]]) for side in sides)
        return np.where(real, np.maximum(right**power - left**power, 0) / power, 0.0)

    def _masses(self, power: int) -> Array:
        """Return the (T, S) integrals of x**(power - 1) over the trapezoids, for power 1 or 2 (Simpson, exact)."""
        bottom, middle, top = self._widths(power)
        return (bottom + 4 * middle + top) / 6 * np.diff(self._levels)

    def mass(self, power: int) -> float:
        """Return the integral of x**(power - 1) over the polygon: for power 1 its area, for power 2 its moment."""
        return float(self._masses(power).sum())

    def inside(self, count: int, power: int, rng: np.random.Generator) -> Array:
        """Draw (2, count) points in the polygon, with a density proportional to x**(power - 1), for power 1 or 2."""
        sides, _ = self._trapezoids
        masses = self._masses(power).ravel()
        drawn = rng.multinomial(count, masses / masses.sum())
        cell = np.repeat(np.arange(len(masses)), drawn)
        bottom, middle, top = self._widths(power).reshape(3, -1)
        bend = 2 * (bottom + top - 2 * middle)  # the width is bottom + t * (slope + t * bend), for t in [0, 1]
        slope = top - bottom - bend
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = np.where((bend < 0) & (slope > 0) & (slope < -2 * bend), bottom - slope**2 / (4 * bend), 0)
        widest = np.maximum(np.maximum(bottom, top), peak)
        rise, open_ = np.empty(count), np.arange(count)
        while len(open_):
            own, t = cell[open_], rng.random(len(open_))
            rise[open_] = t
            accepted = rng.random(len(own)) * widest[own] <= bottom[own] + t * (slope[own] + t * bend[own])
            open_ = open_[~accepted]
        left, right = (side[0].ravel()[cell] * (1 - rise) + side[1].ravel()[cell] * rise for side in sides)
        x = left**power + rng.random(count) * (right**power - left**power)
        row = cell % (len(self._levels) - 1)
        y = self._levels[row] + rise * np.diff(self._levels)[row]
        return np.stack([x if power == 1 else np.sqrt(x), y])


def _signed_area(ring: Array) -> float:
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
