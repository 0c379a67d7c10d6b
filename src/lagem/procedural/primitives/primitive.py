"""What every primitive can do: containment, exact bounds, and uniform points on the boundary and around the body.

Letters: K points. Points are (3, K) float64: computing is several times faster with a contiguous row for each axis.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.frame import Frame

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Primitive(ABC):
    """One closed body, of a kind that the subclass defines.

    center: (3,), origin of the local coordinates.
    size: lengths whose meaning the subclass defines.
    rotation: (3, 3), from local to world directions; None for no rotation.
    """

    center: Array
    size: Array
    rotation: Array | None = None

    def framed(self, frame: Frame) -> Self:
        """Return the body in the coordinates of the unit sphere to which `frame` maps."""
        return replace(self, center=(self.center - frame.center) * frame.scale, size=self.size * frame.scale)

    def moved(self, offset: Sequence[float] | Array) -> Self:
        """Return the body, moved by the vector `offset` in world coordinates."""
        return replace(self, center=self.center + np.asarray(offset))

    def rotated(self, rotation: Array) -> Self:
        """Return the body after a rotation about the world's origin, given as a (3, 3) matrix."""
        own = rotation if self.rotation is None else rotation @ self.rotation
        return replace(self, center=rotation @ self.center, rotation=own)

    def mirrored(self, axis: int) -> Self:
        """Return the mirror image of the body in the plane through the world's origin across a world axis.

        The body must be symmetric in the local plane x = 0, unless its class says how to mirror it.
        """
        flip, own = np.ones(3), np.eye(3) if self.rotation is None else self.rotation
        flip[axis] = -1
        return replace(self, center=flip * self.center, rotation=flip[:, None] * own * [-1, 1, 1])

    def to_local(self, points: Array) -> Array:
        offset = points - self.center[:, None]
        return offset if self.rotation is None else self.rotation.T @ offset

    def to_world(self, points: Array) -> Array:
        return (points if self.rotation is None else self.rotation @ points) + self.center[:, None]

    def turn(self, directions: Array) -> Array:
        return directions if self.rotation is None else self.rotation @ directions

    @property
    def axis(self) -> Array:
        """(3,) direction of the local z axis in world coordinates."""
        return np.array([0.0, 0.0, 1.0]) if self.rotation is None else self.rotation[:, 2]

    @property
    @abstractmethod
    def half(self) -> Array:
        """(3,) half extents of the bounding box in local coordinates."""

    @property
    def candidate_volume(self) -> float:
        """Volume of the region in which `candidates` draws points."""
        return float(8 * self.half.prod())

    def candidates(self, count: int, rng: np.random.Generator) -> Array:
        """Draw (3, count) local points uniformly in a region that holds the body: its local bounding box."""
        return rng.uniform(-1, 1, (3, count)) * self.half[:, None]

    @property
    @abstractmethod
    def area(self) -> float:
        """Area of the whole boundary."""

    @abstractmethod
    def contains(self, local: Array) -> NDArray[np.bool_]:
        """Return (K,) booleans: whether each of the (3, K) points, in local coordinates, is in the closed body."""

    def holds(self, points: Array) -> NDArray[np.bool_]:
        """Return (K,) booleans: whether each of the (3, K) points, in world coordinates, is in the closed body."""
        return self.contains(self.to_local(points))

    @abstractmethod
    def surface(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw points uniformly, by area, on the boundary.

        Returns:
            (3, count) points and their (3, count) outward normals, in local coordinates.
        """

    @abstractmethod
    def bounds(self) -> Array:
        """Return the (2, 3) lowest and highest corners of the tight bounding box in world coordinates."""

    @abstractmethod
    def reach(self, origin: Array) -> float:
        """Return the distance from the point `origin`, in world coordinates, to the farthest point of the body."""
