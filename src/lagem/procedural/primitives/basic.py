"""Boxes, frusta, tori and balls.

Letters: K points, as (3, K) float64.
"""

import numpy as np
from numpy.typing import NDArray

from lagem.procedural.primitives.primitive import Array, Primitive


class Box(Primitive):
    """A box. size: half extents along the local axes."""

    @property
    def half(self) -> Array:
        return self.size

    @property
    def area(self) -> float:
        x, y, z = self.size
        return float(8 * (x * y + y * z + z * x))

    def contains(self, local: Array) -> NDArray[np.bool_]:
        x, y, z = np.abs(local) <= self.size[:, None]
        return x & y & z

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x, y, z = self.size
        faces = np.array([y * z, z * x, x * y])
        axis = rng.choice(3, size=count, p=faces / faces.sum())
        side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
        points = rng.uniform(-1, 1, (3, count)) * self.size[:, None]
        normals = np.zeros((3, count))
        column = np.arange(count)
        points[axis, column] = side * self.size[axis]
        normals[axis, column] = side
        return points, normals

    def bounds(self) -> Array:
        extent = self.size if self.rotation is None else np.abs(self.rotation) @ self.size
        return np.stack([self.center - extent, self.center + extent])

    def reach(self, origin: Array) -> float:
        local = self.to_local(origin[:, None])[:, 0]
        return float(np.linalg.norm(np.abs(local) + self.size))


class Frustum(Primitive):
    """A truncated cone around the local z axis. size: radius at the bottom, radius at the top, half the height."""

    @property
    def half(self) -> Array:
        radius = self.size[:2].max()
        return np.array([radius, radius, self.size[2]])

    def _areas(self) -> Array:
        bottom, top, half_height = self.size
        slant = np.hypot(top - bottom, 2 * half_height)
        return np.pi * np.array([(bottom + top) * slant, bottom**2, top**2])

    @property
    def area(self) -> float:
        return float(self._areas().sum())

    def contains(self, local: Array) -> NDArray[np.bool_]:
        bottom, top, half_height = self.size
        radius = (bottom + top) / 2 + (top - bottom) / (2 * half_height) * local[2]
        return (np.abs(local[2]) <= half_height) & (local[0] ** 2 + local[1] ** 2 <= radius**2)

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        bottom, top, half_height = self.size
        areas = self._areas()
        side, low, high = rng.multinomial(count, areas / areas.sum())
        angle = rng.uniform(0, 2 * np.pi, count)
        ring = np.stack([np.cos(angle), np.sin(angle)])
        fraction = rng.random(count)
        slanted = np.sqrt(bottom**2 + fraction[:side] * (top**2 - bottom**2))
        rise = (slanted - bottom) / (top - bottom) if top != bottom else fraction[:side]
        caps = np.sqrt(fraction[side:]) * np.repeat([bottom, top], [low, high])
        height = np.concatenate([(2 * rise - 1) * half_height, np.repeat([-half_height, half_height], [low, high])])
        slope = np.array([2 * half_height, bottom - top]) / np.hypot(2 * half_height, bottom - top)
        outward = np.repeat([slope[0], 0.0], [side, low + high])
        upward = np.repeat([slope[1], -1.0, 1.0], [side, low, high])
        return np.stack([*(ring * np.concatenate([slanted, caps])), height]), np.stack([*(ring * outward), upward])

    def _rims(self) -> list[tuple[Array, float]]:
        bottom, top, half_height = self.size
        return [
            (self.center - self.axis * half_height, bottom),
            (self.center + self.axis * half_height, top),
        ]

    def bounds(self) -> Array:
        spread = np.sqrt(np.maximum(1 - self.axis**2, 0))
        rims = self._rims()
        low, high = [c - spread * r for c, r in rims], [c + spread * r for c, r in rims]
        return np.stack([np.min(low, axis=0), np.max(high, axis=0)])

    def reach(self, origin: Array) -> float:
        distances = []
        for center, radius in self._rims():
            along = float((center - origin) @ self.axis)
            across = float(np.linalg.norm(center - origin - along * self.axis))
            distances.append(np.hypot(along, across + radius))
        return float(max(distances))


class Torus(Primitive):
    """A ring around the local z axis. size: radius of the ring, radius of the tube."""

    @property
    def half(self) -> Array:
        ring, tube = self.size
        return np.array([ring + tube, ring + tube, tube])

    @property
    def area(self) -> float:
        ring, tube = self.size
        return float(4 * np.pi**2 * ring * tube)

    def contains(self, local: Array) -> NDArray[np.bool_]:
        ring, tube = self.size
        return (np.hypot(local[0], local[1]) - ring) ** 2 + local[2] ** 2 <= tube**2

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        ring, tube = self.size
        around, section = rng.uniform(0, 2 * np.pi, (2, count))
        # Mirroring the rejected angles makes the density of all angles proportional to ring + tube * cos.
        rejected = rng.random(count) > (1 + tube / ring * np.cos(section)) / 2
        section = np.where(rejected, np.pi - section, section)
        outward = np.cos(section)
        normals = np.stack([np.cos(around) * outward, np.sin(around) * outward, np.sin(section)])
        center = ring * np.stack([np.cos(around), np.sin(around), np.zeros(count)])
        return center + tube * normals, normals

    def bounds(self) -> Array:
        extent = self.size[0] * np.sqrt(np.maximum(1 - self.axis**2, 0)) + self.size[1]
        return np.stack([self.center - extent, self.center + extent])

    def reach(self, origin: Array) -> float:
        along = float((self.center - origin) @ self.axis)
        across = float(np.linalg.norm(self.center - origin - along * self.axis))
        return float(np.hypot(along, across + self.size[0]) + self.size[1])


class Ball(Primitive):
    """A ball. size: the radius."""

    @property
    def half(self) -> Array:
        return np.repeat(self.size, 3)

    @property
    def area(self) -> float:
        return float(4 * np.pi * self.size[0] ** 2)

    def contains(self, local: Array) -> NDArray[np.bool_]:
        return np.einsum("ik,ik->k", local, local) <= self.size[0] ** 2

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        normals = rng.standard_normal((3, count))
        normals /= np.linalg.norm(normals, axis=0)
        return self.size[0] * normals, normals

    def bounds(self) -> Array:
        return np.stack([self.center - self.size, self.center + self.size])

    def reach(self, origin: Array) -> float:
        return float(np.linalg.norm(self.center - origin) + self.size[0])
