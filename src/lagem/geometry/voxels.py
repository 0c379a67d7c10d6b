"""Finds the cells of a regular grid that a surface crosses or that a solid fills."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lagem.geometry.mesh import Mesh

# R cells along a side, so R + 1 nodes; N points, F faces

Mask = NDArray[np.bool_]

NEAR = 0.4  # maximum distance, in cells, from a point of the surface to the nearest lattice point
LATTICE_POINTS = 1 << 21  # maximum number of lattice points computed at a time


@dataclass(frozen=True)
class Grid:
    """The cube [-reach, reach]^3, cut into R^3 cells. On each axis, node i lies at -reach + i * spacing.

    cells: R, number of cells along a side.
    reach: half the side of the cube.
    """

    cells: int
    reach: float

    @property
    def spacing(self) -> float:
        """Length of a cell's side."""
        return 2 * self.reach / self.cells

    def cell_of(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the (N, 3) cells that hold (N, 3) points; a point outside the cube gets the nearest cell in it."""
        index = ((points + self.reach) / self.spacing).astype(np.int64)  # rounds towards 0, harmless due to the clip
        return np.clip(index, 0, self.cells - 1)

    def positions(self, nodes: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the (N, 3) coordinates of (N, 3) nodes. Numbers that are not integers give points between nodes."""
        return -self.reach + self.spacing * nodes.astype(np.float64)


def crossed_cells(mesh: Mesh, grid: Grid, near: float = NEAR) -> Mask:
    """Find the cells that a surface crosses, from a lattice of points that is laid over each of its triangles.

    Every point of the surface has a lattice point within `near` cells. So each node that is less than 1 - `near` cells
    from the surface is a corner of a True cell. A cell that is neither True nor next to a True cell contains no
    surface.

    Args:
        mesh: The surface, inside the cube.
        grid: The grid.
        near: Maximum distance, in cells, from a point of the surface to the nearest lattice point; from 0 to 1,
            exclusive.

    Returns:
        (R, R, R) bool, True for cells that hold a lattice point.
    """
    # sides of a lattice cell; half its diagonal is less than `near` cells, since hypot(1.25, 0.75) / 2 < 1
    along, across = 1.25 * near * grid.spacing, 0.75 * near * grid.spacing
    crossed = np.zeros((grid.cells,) * 3, dtype=np.bool_)
    corners = mesh.vertices[mesh.faces]
    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    longest = lengths.argmax(axis=1)
    start, end, apex = (corners[np.arange(len(corners)), (longest + turn) % 3] for turn in range(3))
    base = lengths.max(axis=1)
    height = np.linalg.norm(np.cross(end - start, apex - start), axis=1) / np.where(base > 0, base, 1)
    columns = 1 + np.maximum(np.ceil(base / along), 1).astype(np.int64)
    rows = 1 + np.maximum(np.ceil(height / across), 1).astype(np.int64)
    crossed[tuple(grid.cell_of(mesh.vertices[np.unique(mesh.faces)]).T)] = True  # for small faces, the vertices suffice
    large = (rows > 2) | (columns > 2)
    start, end, apex, rows, columns = (values[large] for values in (start, end, apex, rows, columns))
    ends = np.cumsum(rows * columns)
    first = 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, (ends[first - 1] if first else 0) + LATTICE_POINTS)))
        part = slice(first, last)
        points = _lattice(start[part], end[part], apex[part], rows[part], columns[part])
        crossed[tuple(grid.cell_of(points).T)] = True
        first = last
    return crossed


def _lattice(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    apex: NDArray[np.float64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the (sum of rows * columns, 3) lattice points of F triangles, one triangle after the other.

    The points of a triangle lie in rows that are parallel to its longest edge, from the apex to this edge.

    Args:
        start: (F, 3) start of the longest edge.
        end: (F, 3) end of the longest edge.
        apex: (F, 3) vertex opposite to the longest edge.
        rows: (F,) number of rows in each triangle.
        columns: (F,) number of points in each row of a triangle.
    """
    counts = rows * columns
    face = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(place, columns[face])
    down = (row / (rows[face] - 1))[:, None]
    along = (column / (columns[face] - 1))[:, None]
    return apex[face] + down * (start[face] - apex[face] + along * (end - start)[face])


def corners_of(cells: Mask) -> Mask:
    """Return (R + 1, R + 1, R + 1) bool, True for nodes that are a corner of a True cell among (R, R, R) cells."""
    return any_corner(np.pad(cells, 1))


def any_corner(nodes: Mask) -> Mask:
    """Return (R, R, R) bool, True for cells that have a True corner among (R + 1, R + 1, R + 1) nodes."""
    for axis in range(3):
        nodes = np.moveaxis(nodes, axis, 0)
        nodes = np.moveaxis(nodes[:-1] | nodes[1:], 0, axis)
    return nodes


def finer_cells(
    cells: NDArray[np.int64],
    grid: Grid,
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    distance_to: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> tuple[NDArray[np.int64], Grid]:
    """Split cells into eighths, and keep the eighths that may contain a part of a solid.

    Args:
        cells: (N, 3) cells that together hold the solid, as `cells_of_solid` returns them.
        grid: The grid of these cells.
        inside: Occupancy of the solid; maps (N, 3) points to (N,) bool.
        distance_to: Maps (N, 3) points to their (N,) distances from the surface.

    Returns:
        The kept cells, and their grid, which has twice as many cells along a side.
    """
    finer = Grid(cells=2 * grid.cells, reach=grid.reach)
    eighths = (2 * cells[:, None] + np.indices((2, 2, 2)).reshape(3, 8).T).reshape(-1, 3)
    centres = finer.positions(eighths + 0.5)
    crossed = distance_to(centres) <= np.sqrt(3) / 2 * finer.spacing
    crossed[~crossed] = inside(centres[~crossed])
    return eighths[crossed], finer


def cells_of_solid(
    mesh: Mesh, inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]], grid: Grid
) -> NDArray[np.int64]:
    """Find cells that together hold the whole solid that a closed mesh bounds; few of them lie wholly outside it.

    Args:
        mesh: The mesh, inside the cube.
        inside: Occupancy of the solid; maps (N, 3) points to (N,) bool. It is queried once for each connected region of
            cells away from the surface.
        grid: The grid.

    Returns:
        (N, 3) cells.
    """
    near = any_corner(corners_of(crossed_cells(mesh, grid, near=0.95)))
    region, count = ndimage.label(~near)
    member = np.empty(count + 1, dtype=np.int64)  # one cell of each region; which one does not matter
    member[region.reshape(-1)] = np.arange(region.size)
    centres = grid.positions(np.stack(np.unravel_index(member, region.shape), axis=1) + 0.5)
    solid = inside(centres)
    solid[0] = True  # the cells near the surface
    return np.argwhere(solid[region])
