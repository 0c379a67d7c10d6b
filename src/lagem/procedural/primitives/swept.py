"""Polygons, extruded along the local z axis or revolved around it.

Letters: K points, as (3, K) float64; V vertices of a polygon.
"""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lagem.procedural.primitives.polygon import Polygon
from lagem.procedural.primitives.primitive import Array, Primitive


@dataclass(frozen=True)
class Extrusion(Primitive):
    """A polygon in the local x-y plane, extruded along z. size: scale of the polygon, half the height."""

    polygon: Polygon = field(kw_only=True)

    @property
    def half(self) -> Array:
        scale, height = self.size
        return np.array([*(scale * np.abs(self.polygon.starts).max(axis=0)), height])

    def mirrored(self, axis: int) -> Self:
        return replace(super().mirrored(axis), polygon=self.polygon.flipped())

    def _areas(self) -> Array:
        """(E + 1,) areas: of the wall over each edge, and of both ends together."""
        scale, height = self.size
        return np.append(2 * height * scale * self.polygon.lengths, 2 * scale**2 * self.polygon.mass(1))

    @property
    def area(self) -> float:
        return float(self._areas().sum())

    @property
    def candidate_volume(self) -> float:
        return float(2 * self.size[1] * self.size[0] ** 2 * self.polygon.mass(1))

    def candidates(self, count: int, rng: np.random.Generator) -> Array:
        """Draw (3, count) local points uniformly in the body itself."""
        scale, height = self.size
        return np.stack([*(scale * self.polygon.inside(count, 1, rng)), rng.uniform(-height, height, count)])

    def contains(self, local: Array) -> NDArray[np.bool_]:
        x, y, z = np.abs(local) <= self.half[:, None]
        inside = x & y & z
        near = np.flatnonzero(inside)
        inside[near] = self.polygon.contains(local[:2, near] / self.size[0])
        return inside

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        (scale, height), polygon, areas = self.size, self.polygon, self._areas()
        drawn = rng.multinomial(count, areas / areas.sum())
        walls, ends = np.repeat(np.arange(len(drawn) - 1), drawn[:-1]), int(drawn[-1])
        edges = (polygon.ends - polygon.starts)[walls]
        outline = polygon.starts[walls] + rng.random((len(walls), 1)) * edges
        side = np.where(rng.random(ends) < 0.5, -1.0, 1.0)
        flat = np.hstack([outline.T, polygon.inside(ends, 1, rng)])
        up = np.concatenate([rng.uniform(-height, height, len(walls)), height * side])
        normals = np.zeros((3, count))
        normals[:2, : len(walls)], normals[2, len(walls) :] = polygon.normals[walls].T, side
        return np.stack([*(scale * flat), up]), normals

    def _corners(self) -> Array:
        """Return the (3, 2V) corners in world coordinates."""
        scale, height = self.size
        flat = np.tile(scale * self.polygon.starts.T, 2)
        return self.to_world(np.stack([*flat, np.repeat([-height, height], len(self.polygon.starts))]))

    def bounds(self) -> Array:
        corners = self._corners()
        return np.stack([corners.min(axis=1), corners.max(axis=1)])

    def reach(self, origin: Array) -> float:
        return float(np.linalg.norm(self._corners() - origin[:, None], axis=0).max())


@dataclass(frozen=True)
class Revolution(Primitive):
    """A polygon of points (distance from the axis, z), revolved around the local z axis. size: scale of the polygon.

    No distance from the axis may be negative; a polygon may touch the axis.
    """

    polygon: Polygon = field(kw_only=True)

    @property
    def half(self) -> Array:
        radius, height = self.size[0] * np.abs(self.polygon.starts).max(axis=0)
        return np.array([radius, radius, height])

    def _areas(self) -> Array:
        """Return the (E,) areas of the cones that the edges sweep."""
        polygon = self.polygon
        return self.size[0] ** 2 * np.pi * (polygon.starts[:, 0] + polygon.ends[:, 0]) * polygon.lengths

    @property
    def area(self) -> float:
        return float(self._areas().sum())

    @property
    def candidate_volume(self) -> float:
        return float(2 * np.pi * self.size[0] ** 3 * self.polygon.mass(2))

    def candidates(self, count: int, rng: np.random.Generator) -> Array:
        """Draw (3, count) local points uniformly in the body itself."""
        return _around(self.size[0] * self.polygon.inside(count, 2, rng), rng.uniform(0, 2 * np.pi, count))

    def contains(self, local: Array) -> NDArray[np.bool_]:
        x, y, z = np.abs(local) <= self.half[:, None]
        inside = x & y & z
        near = np.flatnonzero(inside)
        x, y, z = local[:, near]
        inside[near] = self.polygon.contains(np.stack([np.hypot(x, y), z]) / self.size[0])
        return inside

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        polygon, areas = self.polygon, self._areas()
        edge = np.repeat(np.arange(len(areas)), rng.multinomial(count, areas / areas.sum()))
        (near, low), (far, high) = polygon.starts[edge].T, polygon.ends[edge].T
        fraction = rng.random(count)
        radius = np.sqrt(near**2 + fraction * (far**2 - near**2))
        along = fraction * (near + far) / (near + radius)  # (radius - near) / (far - near), also if both are equal
        angle = rng.uniform(0, 2 * np.pi, count)
        points = _around(self.size[0] * np.stack([radius, low + along * (high - low)]), angle)
        return points, _around(polygon.normals[edge].T, angle)

    def bounds(self) -> Array:
        radius, height = self.size[0] * self.polygon.starts.T
        spread = np.outer(np.sqrt(np.maximum(1 - self.axis**2, 0)), radius)
        centers = self.center[:, None] + np.outer(self.axis, height)
        return np.stack([(centers - spread).min(axis=1), (centers + spread).max(axis=1)])

    def reach(self, origin: Array) -> float:
        radius, height = self.size[0] * self.polygon.starts.T
        along = float((self.center - origin) @ self.axis)
        across = np.linalg.norm(self.center - origin - along * self.axis)
        return float(np.hypot(along + height, across + radius).max())


def _around(flat: Array, angle: Array) -> Array:
    """Return the (3, K) points or directions to which (2, K) ones in the profile's plane turn by (K,) angles."""
    radius, height = flat
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height])
