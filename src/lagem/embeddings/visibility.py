"""The part of a surface that is seen from one direction, for a surface that is given as points.

The camera is orthographic, like a scanner that is far away. A point counts as hidden if another point lies in front of
it, in the same cell of a grid across the view.
"""

import numpy as np
from numpy.typing import NDArray

# N points

CELL = 4.0  # side of a cell, in units of 1 / sqrt(N) of the unit sphere's radius: a cell then holds several points
SLOPE = 1.0  # a point at most this many sides of a cell behind the front of its cell still belongs to a slanted surface


def seen_points(points: NDArray[np.floating], direction: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Choose the points of a surface that a camera sees, up to a share of all points.

    If more points are visible, the nearest are chosen. If fewer are, those behind them follow, the least hidden first.

    Args:
        points: (N, 3), spread evenly over the surface of a shape in the unit sphere.
        direction: (3,), from the shape to the camera, of any positive length.
        share: Share of the points to choose, from 0 to 1; at least one is chosen.

    Returns:
        (N,), True for the chosen points.
    """
    back = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    right = np.cross(back, np.eye(3)[np.abs(back).argmin()])
    right /= np.linalg.norm(right)
    depth = -(points @ back)  # smaller is nearer to the camera
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
