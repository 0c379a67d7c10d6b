"""Training augmentation (LaGeM appendix B): a random linear map of all points of a sample.

Axis scaling, rescaling to the unit sphere, axis flips and rotation are all linear and keep the origin, which is the
centre of the bounding box. So one matrix augments a sample, and no new centre is needed. Labels do not change. The
queries are mapped by the same matrix. As in the authors' loader, the ball of volume queries thus becomes an ellipsoid,
and the jitter of near queries is stretched.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """A distribution of random linear maps of a shape and its queries.

    Args:
        axis_scale: Range of the factor drawn for each axis; null for no scaling.
        rotation: `uniform` draws uniformly from SO(3). `paper` draws yaw, pitch and roll from N(0, 1) in radians
            (Eq. 13), which favours small angles. `yaw` rotates about z only. `none` does not rotate.
        flips: `paper` permutes the axes at random and draws a random sign for each, so mirror images are included.
            `signs` draws only the signs. `none` does neither.
        max_norm: Largest norm of the augmented surface points. The authors use 0.999.
    """

    axis_scale: tuple[float, float] | None = (0.75, 1.25)
    rotation: Literal["none", "uniform", "paper", "yaw"] = "uniform"
    flips: Literal["none", "signs", "paper"] = "none"
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.axis_scale is not None and not 0 < self.axis_scale[0] <= self.axis_scale[1]:
            raise ValueError(f"axis_scale must be (low, high) with 0 < low <= high, but {self.axis_scale} was given.")
        if not 0 < self.max_norm <= 1:
            raise ValueError(f"max_norm must lie in (0, 1], inside the unit sphere, but {self.max_norm} was given.")

    def draw(self, surface_points: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the (3, 3) matrix by which the points of a sample, as column vectors, are multiplied.

        Args:
            surface_points: (N, 3) surface points of the sample. The matrix is scaled so that it brings their largest
                norm to `max_norm`.
            rng: Random generator.
        """
        scale = np.ones(3) if self.axis_scale is None else rng.uniform(*self.axis_scale, size=3)
        scale *= self.max_norm / np.linalg.norm(surface_points * scale, axis=1).max()
        matrix = np.diag(scale)
        if self.flips == "paper":
            matrix = matrix[rng.permutation(3)]
        if self.flips != "none":
            matrix = matrix * rng.choice([-1.0, 1.0], size=(3, 1))
        return self._rotation(rng) @ matrix

    def _rotation(self, rng: np.random.Generator) -> NDArray[np.float64]:
        if self.rotation == "none":
            return np.eye(3)
        if self.rotation == "uniform":  # a Gaussian quaternion has a uniform direction
            return Rotation.from_quat(rng.standard_normal(4)).as_matrix()
        if self.rotation == "paper":
            return Rotation.from_euler("ZYX", rng.standard_normal(3)).as_matrix()
        return Rotation.from_euler("Z", rng.uniform(0, 2 * np.pi)).as_matrix()
