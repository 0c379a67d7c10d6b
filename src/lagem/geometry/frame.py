"""The unit-sphere frame of a shape (LaGeM appendix B).

In this frame, the shape's bounding box is centred at the origin, and the farthest point has distance 1 from the origin.
Volume queries fill a larger ball around the shape (appendix A).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Up = Literal["y", "z"]  # the axis that points up; a frame only moves and scales, so it does not change this axis

BOX_REACH = 0.99  # largest coordinate of a surface in the box frame of 3DILG and 3DShape2VecSet
QUERY_BALL_RADIUS = math.sqrt(3)
QUERY_BALL_VOLUME = 4 / 3 * math.pi * QUERY_BALL_RADIUS**3


def stated_up(settings: object) -> Up | None:
    """Return the entry `up` of settings that were read from a file; None if it is missing, or neither y nor z."""
    up: Up | None = settings.get("up") if isinstance(settings, dict) else None
    return up if up in ("y", "z") else None


@dataclass(frozen=True)
class Frame:
    """A map from a source's coordinates to the unit sphere and back: unit = (source - center) * scale.

    center: (3,) float64, centre of the source's bounding box, in the source's coordinates.
    scale: 1 divided by the largest distance of a point from the centre.
    """

    center: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, points: NDArray[np.floating]) -> "Frame":
        """Compute the frame of (N, 3) points; raises ValueError unless their extent is finite and positive."""
        points = np.asarray(points, dtype=np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        center = low / 2 + high / 2
        extent = np.abs(points - center).max()
        if not np.isfinite(extent) or extent <= 0:
            raise ValueError(f"points of extent {high - low} have no frame: the extent must be finite and positive.")
        radius = extent * np.linalg.norm((points - center) / extent, axis=1).max()
        return cls(center=center, scale=float(1 / radius))

    @classmethod
    def of_rows(cls, centers: NDArray[np.floating], scales: NDArray[np.floating], *, source: object) -> list["Frame"]:
        """Return the S frames that a file stores as (S, 3) centres and (S,) scales.

        Args:
            centers: The centres.
            scales: The scales.
            source: Name of the file, for messages.

        Raises:
            ValueError: If the arrays have other shapes, a centre is not finite, or a scale is not positive and finite.
                For a wrong centre or scale, the message gives the index of its row, counted from 0.
        """
        if centers.ndim != 2 or centers.shape[1:] != (3,) or scales.shape != centers.shape[:1]:
            raise ValueError(
                f"{source}: holds frames with centres of shape {centers.shape} and scales of shape {scales.shape}, but "
                "these must have the shapes (S, 3) and (S,); write the file again."
            )
        good = np.isfinite(centers).all(axis=1) & np.isfinite(scales) & (scales > 0)
        if not good.all():
            row = int(good.argmin())
            raise ValueError(
                f"{source}: row {row}: its frame has centre {centers[row].tolist()} and scale {float(scales[row])}; "
                "both must be finite, and the scale must be positive. Write the file again."
            )
        return [cls(center=center, scale=float(scale)) for center, scale in zip(centers, scales, strict=True)]

    def to_unit(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (N, 3) points from the source's coordinates into the unit sphere."""
        return (np.asarray(points, dtype=np.float64) - self.center) * self.scale

    def to_source(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map (N, 3) points from the unit sphere back to the source's coordinates."""
        return np.asarray(points, dtype=np.float64) / self.scale + self.center

    def then(self, other: "Frame") -> "Frame":
        """Return the frame that maps points by this frame first, and then by `other`.

        Args:
            other: A frame whose source coordinates are those of this frame's unit sphere.
        """
        return Frame(center=self.to_source(other.center[None])[0], scale=self.scale * other.scale)
