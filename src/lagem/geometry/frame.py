"""The unit-sphere frame: bounding box centred at the origin, farthest point at distance 1 (LaGeM appendix B).

Volume queries fill a larger ball around the shape (appendix A).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUERY_BALL_RADIUS = math.sqrt(3)
QUERY_BALL_VOLUME = 4 / 3 * math.pi * QUERY_BALL_RADIUS**3


@dataclass(frozen=True)
class Frame:
    """Map between a source's coordinates and the unit sphere: unit = (source - center) * scale.

    center: (3,) float64, centre of the bounding box in the source's unit.
    scale: 1 / largest distance from the centre.
    """

    center: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, points: NDArray[np.floating]) -> "Frame":
        """Frame of (N, 3) points; raises ValueError unless their extent is finite and positive."""
        points = np.asarray(points, dtype=np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        center = low / 2 + high / 2
        extent = np.abs(points - center).max()
        if not np.isfinite(extent) or extent <= 0:
            raise ValueError(f"points of extent {high - low} have no frame; the extent must be finite and positive.")
        radius = extent * np.linalg.norm((points - center) / extent, axis=1).max()
        return cls(center=center, scale=float(1 / radius))

    def to_unit(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) points of the source, mapped into the unit sphere."""
        return (np.asarray(points, dtype=np.float64) - self.center) * self.scale

    def to_source(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) points of the unit sphere, mapped back to the source's coordinates."""
        return np.asarray(points, dtype=np.float64) / self.scale + self.center

    def then(self, other: "Frame") -> "Frame":
        """This frame followed by `other`, a frame of points that are already in this frame's unit sphere."""
        return Frame(center=self.to_source(other.center[None])[0], scale=self.scale * other.scale)
