"""Ellipsoids and capsules.

Letters: K points, as (3, K) float64.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import elliprg

from lagem.procedural.primitives.primitive import Array, Primitive


class Ellipsoid(Primitive):
    """An ellipsoid. size: the three semi-axes, along the local axes."""

    @property
    def half(self) -> Array:
        return self.size

    @property
    def area(self) -> float:
        x, y, z = self.size**2
        return float(4 * np.pi * elliprg(x * y, y * z, z * x))

    def contains(self, local: Array) -> NDArray[np.bool_]:
        scaled = local / self.size[:, None]
        return np.einsum("ik,ik->k", scaled, scaled) <= 1

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        # A map from the unit sphere stretches areas in proportion to the length of direction / size.
        least = self.size.min()
        sphere = np.empty((3, 0))
        while sphere.shape[1] < count:
            drawn = rng.standard_normal((3, int(2 * (count - sphere.shape[1])) + 16))
            drawn /= np.linalg.norm(drawn, axis=0)
            stretch = least * np.linalg.norm(drawn / self.size[:, None], axis=0)
            sphere = np.hstack([sphere, drawn[:, rng.random(len(stretch)) < stretch]])
        sphere = sphere[:, :count]
        normals = sphere / self.size[:, None]
        return self.size[:, None] * sphere, normals / np.linalg.norm(normals, axis=0)

    def bounds(self) -> Array:
        extent = self.size if self.rotation is None else np.linalg.norm(self.rotation * self.size, axis=1)
        return np.stack([self.center - extent, self.center + extent])

    def reach(self, origin: Array) -> float:
        """Minimise the Lagrange dual of the squared distance, t + sum of p² t / (t - a²) over t >= max a².

        p is the origin in local coordinates, and a are the semi-axes. Strong duality holds (S-lemma).
        """
        squares, offsets = self.size**2, self.to_local(origin[:, None])[:, 0] ** 2
        low = high = float(squares.max())
        high += float(np.sqrt(offsets @ squares))
        if high - low < 1e-12 * low:
            return float(np.sqrt(low) + np.sqrt(offsets.sum()))
        squares, offsets = squares[offsets > 0], offsets[offsets > 0]
        for _ in range(60):
            middle = (low + high) / 2
            if middle <= squares.max() or (offsets * squares / (middle - squares) ** 2).sum() > 1:
                low = middle
            else:
                high = middle
        return float(np.sqrt(high + (offsets * high / (high - squares)).sum()))


class Capsule(Primitive):
    """All points within a radius of a segment on the local z axis. size: the radius, half the segment's length."""

    @property
    def half(self) -> Array:
        radius, length = self.size
        return np.array([radius, radius, radius + length])

    @property
    def area(self) -> float:
        radius, length = self.size
        return float(4 * np.pi * radius * (radius + length))

    def contains(self, local: Array) -> NDArray[np.bool_]:
        radius, length = self.size
        beyond = np.maximum(np.abs(local[2]) - length, 0)
        return local[0] ** 2 + local[1] ** 2 + beyond**2 <= radius**2

    def holds(self, points: Array) -> NDArray[np.bool_]:
        low, high = self.bounds()
        x, y, z = ((a >= below) & (a <= above) for a, below, above in zip(points, low, high, strict=True))
        inside = x & y & z
        near = np.flatnonzero(inside)
        inside[near] = super().holds(points[:, near])
        return inside

    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        radius, length = self.size
        side = rng.binomial(count, length / (radius + length))
        normals = rng.standard_normal((3, count))
        normals[2, :side] = 0
        normals /= np.linalg.norm(normals, axis=0)
        points = radius * normals
        points[2, :side] = rng.uniform(-length, length, side)
        points[2, side:] += np.copysign(length, normals[2, side:])
        return points, normals

    def bounds(self) -> Array:
        extent = np.abs(self.axis) * self.size[1] + self.size[0]
        return np.stack([self.center - extent, self.center + extent])

    def reach(self, origin: Array) -> float:
        ends = [self.center + side * self.size[1] * self.axis for side in (-1, 1)]
        return float(max(np.linalg.norm(end - origin) for end in ends) + self.size[0])
