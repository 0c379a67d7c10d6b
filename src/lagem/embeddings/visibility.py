"""Find the part of a surface, given as points, that is seen from one direction.

The camera is orthographic, like a scanner that is far away. A grid divides the image into cells. A point counts as
hidden if another point of the same cell lies far enough in front of it.
"""

import numpy as np
from numpy.typing import NDArray

# Letters: N points.

CELL = 4.0  # side of a cell, multiplied by sqrt(N), in the unit sphere; a cell then holds several points
SLOPE = 1.0  # a point at most SLOPE cell sides behind the first point of its cell is seen, since surfaces are slanted


def seen_points(points: NDArray[np.floating], direction: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Choose a given share of the points of a surface: those that a camera sees best.

    If more points than this are visible, those nearest to the camera are chosen. If fewer are visible, hidden points
    are added, first those that are least far behind a visible point.

    Args:
        points: (N, 3), spread evenly over the surface of a shape in the unit sphere.
        direction: (3,), from the shape to the camera, of any positive length.
        share: Fraction of the points to choose, from 0 to 1; at least one point is chosen.

    Returns:
        (N,), True for the chosen points.
    """
    back = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    right = np.cross(back, np.eye(3)[np.abs(back).argmin()])
    right /= np.linalg.norm(right)
    depth = -(points @ back)  # a smaller depth is nearer to the camera
    side = CELL / np.sqrt(len(points))
    column, row = (np.floor(points @ axis / side).astype(np.int64) for axis in (right, np.cross(back, right)))
    _, cell = np.unique((column << 32) + row, return_inverse=True)
    front = np.full(cell.max() + 1, np.inf)
    np.minimum.at(front, cell, depth)
    behind = depth - front[cell]
    hidden = np.where(behind <= SLOPE * side, 0.0, behind)
    seen = np.zeros(len(points), dtype=np.bool_)
    seen[np.lexsort((depth, hidden))[: max(1, round(share * len(points)))]] = True
    return seen
