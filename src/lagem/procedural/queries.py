"""The points of a training sample of a procedural shape: on its surface, in the volume, and near the surface."""

import numpy as np
from numpy.typing import NDArray

from lagem.procedural.solids import ProceduralShape

NEAR_SIGMAS = (0.005, 0.05)  # standard deviations of the jitter, each for half of the near queries (LaGeM appendix A)

Points = NDArray[np.float32]


def draw_sample(
    shape: ProceduralShape, counts: tuple[int, int, int], rng: np.random.Generator, outside_within: float | None = None
) -> tuple[dict[str, Points], NDArray[np.bool_]]:
    """Draw the points of a sample.

    Args:
        shape: The shape.
        counts: Numbers N of surface points, Q of volume queries (even) and Q' of near queries.
        rng: Random generator.
        outside_within: Maximum distance of the outside volume queries from the origin, as for `sample_outside`.

    Returns:
        The arrays surface_points (N, 3), volume_points (Q, 3), of which the first half is inside, and near_points
        (Q', 3); and the occupancy (Q',) of the near points.
    """
    num_surface, num_volume, num_near = counts
    surface = shape.sample_surface(num_surface + num_near, rng)[0]
    sigma = np.repeat(NEAR_SIGMAS, [num_near // 2, num_near - num_near // 2])
    jitter = rng.standard_normal((num_near, 3)) * sigma[:, None]
    near = (surface[num_surface:] + jitter).astype(np.float32)
    half = num_volume // 2
    inside, _ = shape.sample_inside(half, rng)
    outside = shape.sample_outside(half, rng, outside_within)
    points = {
        "surface_points": surface[:num_surface],
        "volume_points": np.concatenate([inside, outside]),
        "near_points": near,
    }
    return points, shape.occupancy(near)
