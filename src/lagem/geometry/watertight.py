"""Conversion of any triangles to a closed surface, by a flood fill from outside.

Grid nodes within about half a cell of the input form a wall, which the flood cannot pass. What the flood does not reach
is solid. Marching cubes around the solid gives a closed mesh that is about half a cell too large. Then each of its
vertices is moved to the closest point of the input. An open sheet has no solid behind it, so it becomes a plate: its
front stays exact, and its back lies `thickness` behind the front, as when a modelling program solidifies a sheet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lagem.geometry.boundary import PROBE, without_doubles
from lagem.geometry.distance import DistanceTo
from lagem.geometry.extraction.cubes import marching_cubes
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.voxels import Grid, Mask, corners_of, crossed_cells

# R cells along a side of the grid, K vertices of the result

REACH = 1.03  # the grid covers [-REACH, REACH]^3: the unit sphere and some cells around it
MARGIN = 2  # number of empty cells around the surface
WALL = 0.55  # in cells; at least 0.5, since the input may lie midway between two neighbouring nodes
FROM_THE_FRONT = 0.99  # a vertex is in front of a face if cos(normal, direction to the vertex) is at least this
CHECKED_FACES = 4096  # about this number of faces are sampled to decide whether all faces must be checked
LEAST_BARE = 0.005  # all faces are checked if at least this fraction of the sample has outside on both sides


@dataclass(frozen=True)
class Watertight:
    """A closed mesh, and how it was made.

    mesh: the closed mesh, with its faces outward, in the frame of the input.
    inside: its occupancy.
    sheet_share: fraction of its vertices that were moved off the input to give a sheet its thickness.
    """

    mesh: Mesh
    inside: WindingNumber
    sheet_share: float


@dataclass(frozen=True)
class Nodes:
    """A block of nodes of a grid; everything beyond the block is outside the solid.

    grid: the grid.
    first: (3,) index of the block's lowest node in the grid.
    shape: number of nodes of the block along each axis.
    """

    grid: Grid
    first: NDArray[np.int64]
    shape: tuple[int, ...]

    def positions(self, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (N, 3) coordinates of nodes. `nodes` are their (N, 3) indices, counted from the node `first`."""
        return self.grid.positions(nodes + self.first)

    def nearest(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        """Find the node of the block that is nearest to each of (N, 3) points.

        Returns:
            The indices of the nodes in the block along the three axes, (N,) each.
        """
        node = np.rint((points + self.grid.reach) / self.grid.spacing).astype(np.int64) - self.first
        return tuple(np.clip(node, 0, np.array(self.shape) - 1).T)


def make_watertight(mesh: Mesh, *, resolution: int = 256, thickness: float = 0.01) -> Watertight:
    """Make a closed mesh around everything that cannot be reached from outside.

    Gaps narrower than about a cell are closed, and hollows without a wider opening are filled.

    Args:
        mesh: Any triangles, in the unit sphere.
        resolution: R, number of cells along a side of the grid; the side of a cell is 2.06 / R.
        thickness: Thickness of the plates that replace open sheets, in unit-sphere units.
    """
    mesh, _ = without_doubles(mesh)  # else it would be left to chance which of two coincident faces is the nearest
    grid = Grid(cells=resolution, reach=REACH)
    crossed, first = _cropped(crossed_cells(mesh, grid))
    near = corners_of(crossed)  # holds all nodes within 0.6 cells of the surface, and some more
    nodes = Nodes(grid, first, near.shape)
    distance_to = DistanceTo(mesh)
    at, wall_distance = np.nonzero(near), WALL * grid.spacing
    distance = distance_to(nodes.positions(np.stack(at, axis=1)))
    wall = near
    wall[at] = distance <= wall_distance
    outside = _reached_from_outside(wall)

    volume = np.where(outside, -1.0, 1.0)
    height = (wall_distance - distance) / grid.spacing
    volume[at] = np.where(outside[at], np.minimum(height, -1e-6), np.maximum(height, 1e-6))
    vertices, faces = marching_cubes(volume)

    start = _outside_the_wall(vertices, outside, nodes, distance_to)
    distance, face, nearest = distance_to.nearest(start)
    direction = (start - nearest) / distance[:, None]
    facing = np.einsum("kc,kc->k", direction, mesh.normals_and_areas()[0][face])
    sheet = np.zeros(len(start), dtype=np.bool_)
    turned = facing < FROM_THE_FRONT
    sheet[turned] = ~_solid_behind(nearest[turned], direction[turned], mesh, nodes, outside, wall)
    # distance to the input: 0 at the front of a sheet, half the thickness at its rim, the whole thickness at its back
    lift = np.where(sheet, thickness / 2 * (1 - facing), 0)
    result = Mesh(nearest + lift[:, None] * direction, faces)
    inside = WindingNumber(result)

    bare = _bare_vertices(result, inside)
    if bare.any():  # sheets whose two sides both count as fronts, so they coincide: move each by half the thickness
        lift[bare] = np.maximum(lift[bare], thickness / 2)
        result = Mesh(nearest + lift[:, None] * direction, faces)
        inside = WindingNumber(result)
    return Watertight(mesh=result, inside=inside, sheet_share=float((lift > thickness / 4).mean()))


def _cropped(crossed: Mask) -> tuple[Mask, NDArray[np.int64]]:
    """Return the block of the grid that holds all crossed cells, and MARGIN more cells on every side.

    Returns:
        The cells of the block, and the (3,) index of its first cell in the grid.
    """
    used = [np.flatnonzero(crossed.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    first = np.array([max(cells[0] - MARGIN, 0) for cells in used])
    x, y, z = (slice(start, cells[-1] + 1 + MARGIN) for start, cells in zip(first, used, strict=True))
    return crossed[x, y, z], first


def _reached_from_outside(wall: Mask) -> Mask:
    """Return the mask of the nodes that the flood reaches.

    The flood starts at the first corner of the block, and moves between neighbouring nodes that are not in the wall.
    """
    label, _ = ndimage.label(~wall)
    reached: Mask = label == label[0, 0, 0]
    return reached


def _outside_the_wall(
    vertices: NDArray[np.float64], outside: Mask, nodes: Nodes, distance_to: DistanceTo
) -> NDArray[np.float64]:
    """Move each vertex along its grid edge to a point that certainly lies on the outer side of the input.

    Each vertex of marching cubes lies on a grid edge, between an outside node and a node of the wall. Near a sheet that
    is thinner than a cell, the distance to the input is not linear along such an edge, so the vertex may lie beyond the
    sheet. The new point is therefore at a safe distance from the outside node: the distance from this node to the
    input, minus the distance within which nodes belong to the wall.
    """
    low, high = np.floor(vertices).astype(np.int64), np.ceil(vertices).astype(np.int64)
    high_is_outside = outside[tuple(high.T)][:, None]
    node, step = np.where(high_is_outside, high, low), np.where(high_is_outside, low - high, high - low)
    number, of_vertex = np.unique(np.ravel_multi_index(tuple(node.T), outside.shape), return_inverse=True)
    position = nodes.positions(np.stack(np.unravel_index(number, outside.shape), axis=1))
    along = np.maximum(distance_to(position) - WALL * nodes.grid.spacing, 0)
    return position[of_vertex] + along[of_vertex, None] * step


def _solid_behind(
    surface: NDArray[np.float64], direction: NDArray[np.float64], mesh: Mesh, nodes: Nodes, outside: Mask, wall: Mask
) -> NDArray[np.bool_]:
    """Decide for points on the input's surface whether the region behind each point, along -direction, is solid.

    The region is solid if the node two cells behind the point is neither outside nor in the wall. Otherwise, the
    winding number a quarter of a cell behind the point decides, with one exception: the region is not solid if the node
    two cells behind is outside although the winding number at the same depth says inside. Then the flood from outside
    came in through an opening, and the point is on the back of a sheet.

    Returns:
        (K,) bool, True if the region is solid.
    """
    winding, cell = WindingNumber(mesh), nodes.grid.spacing
    deep = surface - 2 * cell * direction
    node = nodes.nearest(deep)
    solid = ~outside[node] & ~wall[node]
    open_ = np.flatnonzero(~solid)
    solid[open_] = winding(surface[open_] - cell / 4 * direction[open_])
    thin = open_[solid[open_] & outside[tuple(axis[open_] for axis in node)]]
    solid[thin] = ~winding(deep[thin])
    return solid


def _bare_vertices(mesh: Mesh, inside: WindingNumber) -> NDArray[np.bool_]:
    """Mark the vertices of faces whose front and back are both outside the solid.

    To save time, a sample of the faces is checked first. If almost no face of this sample is outside on both sides, no
    vertex is marked.

    Returns:
        (K,) bool, one for each vertex of the mesh.
    """
    normals, areas = mesh.normals_and_areas()
    centroids = mesh.vertices[mesh.faces].mean(axis=1)

    def bare(faces: NDArray[np.int64]) -> NDArray[np.int64]:
        faces = faces[~inside(centroids[faces] - PROBE * normals[faces])]  # few faces remain for the second query
        return faces[~inside(centroids[faces] + PROBE * normals[faces])]

    real = np.flatnonzero(areas > 0)
    sample = real[:: max(1, len(real) // CHECKED_FACES)]
    found = np.zeros(len(mesh.vertices), dtype=np.bool_)
    if len(bare(sample)) >= LEAST_BARE * len(sample):
        found[mesh.faces[bare(real)]] = True
    return found
