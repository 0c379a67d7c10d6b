"""Any triangles → a closed surface: unsigned distance, flood fill from outside, marching cubes, vertices moved back.

Grid nodes within about half a cell of the input form a wall that a flood fill from outside cannot pass; what the flood
does not reach is solid. Marching cubes around the solid gives a closed mesh about half a cell too large, and each of
its vertices is moved to the closest point of the input. An open sheet has no solid behind it, so it becomes a plate:
its front stays exact, and its back lies `thickness` behind the front, as when a modelling program solidifies a sheet.
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

REACH = 1.03  # of the grid: the unit sphere and some cells around it
MARGIN = 2  # cells of air around the surface
WALL = 0.55  # cells; if two neighbouring nodes are farther than 0.5 from the input, it does not pass between them
FROM_THE_FRONT = 0.99  # a vertex is in front of a face if cos(normal, direction to the vertex) is at least this
CHECKED_FACES = 4096  # sampled to decide whether all faces must be checked
LEAST_BARE = 0.005  # fraction of the sample with outside on both sides from which all faces are checked


@dataclass(frozen=True)
class Watertight:
    """A closed mesh and how it was made.

    mesh: closed, faces outward, in the frame of the input.
    inside: its occupancy.
    sheet_share: fraction of its vertices that were moved off the input to give a sheet its thickness.
    """

    mesh: Mesh
    inside: WindingNumber
    sheet_share: float


@dataclass(frozen=True)
class Nodes:
    """A block of (X, Y, Z) nodes of a grid that starts at node `first`; everything beyond the block is outside."""

    grid: Grid
    first: NDArray[np.int64]
    shape: tuple[int, ...]

    def positions(self, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, 3) coordinates of (N, 3) nodes, counted from `first`."""
        return self.grid.positions(nodes + self.first)

    def nearest(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        """Nearest node to each of (N, 3) points, as three (N,) indices; beyond the block, a node on its border."""
        node = np.rint((points + self.grid.reach) / self.grid.spacing).astype(np.int64) - self.first
        return tuple(np.clip(node, 0, np.array(self.shape) - 1).T)


def make_watertight(mesh: Mesh, *, resolution: int = 256, thickness: float = 0.01) -> Watertight:
    """Closed mesh around everything that cannot be reached from outside.

    Gaps narrower than about a cell are closed; hollows without a wider opening are filled.

    Args:
        mesh: Any triangles, in the unit sphere.
        resolution: R; a cell measures 2.06 / R.
        thickness: Thickness of the plates that open sheets become, in unit-sphere units.
    """
    mesh, _ = without_doubles(mesh)  # either of two coincident faces could be found as the nearest
    grid = Grid(cells=resolution, reach=REACH)
    crossed, first = _cropped(crossed_cells(mesh, grid))
    near = corners_of(crossed)  # all nodes within 0.6 cells of the surface, and some around them
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
    lift = np.where(sheet, thickness / 2 * (1 - facing), 0)  # 0 in front, half the thickness at a rim, all on the back
    result = Mesh(nearest + lift[:, None] * direction, faces)
    inside = WindingNumber(result)

    bare = _bare_vertices(result, inside)
    if bare.any():  # two fronts coincide: each gets half the thickness
        lift[bare] = np.maximum(lift[bare], thickness / 2)
        result = Mesh(nearest + lift[:, None] * direction, faces)
        inside = WindingNumber(result)
    return Watertight(mesh=result, inside=inside, sheet_share=float((lift > thickness / 4).mean()))


def _cropped(crossed: Mask) -> tuple[Mask, NDArray[np.int64]]:
    """The block of the grid with all crossed cells and MARGIN more on every side, and the index of its first cell."""
    used = [np.flatnonzero(crossed.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    first = np.array([max(cells[0] - MARGIN, 0) for cells in used])
    x, y, z = (slice(start, cells[-1] + 1 + MARGIN) for start, cells in zip(first, used, strict=True))
    return crossed[x, y, z], first


def _reached_from_outside(wall: Mask) -> Mask:
    """Nodes connected to the grid's corner by steps between neighbours that are not wall."""
    label, _ = ndimage.label(~wall)
    reached: Mask = label == label[0, 0, 0]
    return reached


def _outside_the_wall(
    vertices: NDArray[np.float64], outside: Mask, nodes: Nodes, distance_to: DistanceTo
) -> NDArray[np.float64]:
    """Move each vertex, which is on an edge between an outside and a wall node, to a point certainly on its own side.

    Near a sheet thinner than a cell, the distance is not linear along such an edge, so the vertex may lie beyond the
    sheet. From the outside node, it is safe to go as far as the node's distance exceeds the wall's.
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
    """(K,) whether the input encloses the region behind a point of its surface, seen along -direction.

    It does if the node two cells behind is neither outside nor wall. Otherwise, it does if the winding number says
    inside a quarter of a cell behind, unless the flood reached two cells behind and the winding number says inside
    there too: then the flood came in through an opening, and the point is on the back of a sheet.
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
    """(K,) True for vertices of faces with outside on both sides; all False if a sample has hardly any such faces."""
    normals, areas = mesh.normals_and_areas()
    centroids = mesh.vertices[mesh.faces].mean(axis=1)

    def bare(faces: NDArray[np.int64]) -> NDArray[np.int64]:
        faces = faces[~inside(centroids[faces] - PROBE * normals[faces])]  # few remain, so few fronts are queried
        return faces[~inside(centroids[faces] + PROBE * normals[faces])]

    real = np.flatnonzero(areas > 0)
    sample = real[:: max(1, len(real) // CHECKED_FACES)]
    found = np.zeros(len(mesh.vertices), dtype=np.bool_)
    if len(bare(sample)) >= LEAST_BARE * len(sample):
        found[mesh.faces[bare(real)]] = True
    return found
