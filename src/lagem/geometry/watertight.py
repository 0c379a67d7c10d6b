"""Any triangles → a closed surface: unsigned distance, flood fill from outside, marching cubes, vertices pulled back.

Nodes of a grid within half a cell of the input are a wall that a flood from outside cannot pass; what it does not
reach is solid. Marching cubes around the solid gives a closed mesh about half a cell too large, and its vertices move
to their closest points of the input. An open sheet has no solid behind it, so it becomes a plate: its front stays
exact, its back comes to lie `thickness` behind it, as modelling programs solidify a sheet.
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

REACH = 1.03  # of the grid: the unit sphere, and some cells around it
MARGIN = 2  # cells of air around the surface
WALL = 0.55  # cells; a step between two neighbouring nodes that are farther than .5 from the input cannot cross it
FROM_THE_FRONT = 0.99  # cosine between a face's normal and the way to a vertex that sees it head-on
CHECKED_FACES = 4096  # looked at to decide whether all faces are to be
LEAST_BARE = 0.005  # share of them with nothing behind, from which on they are


@dataclass(frozen=True)
class Watertight:
    """A closed mesh and how it came about.

    mesh: closed, faces outward, in the frame of the input.
    inside: its occupancy.
    sheet_share: share of its vertices that were moved off the input to give a sheet its thickness.
    """

    mesh: Mesh
    inside: WindingNumber
    sheet_share: float


@dataclass(frozen=True)
class Nodes:
    """The nodes of a grid from `first` on, (X, Y, Z) of them; what lies beyond is outside."""

    grid: Grid
    first: NDArray[np.int64]
    shape: tuple[int, ...]

    def positions(self, nodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, 3) coordinates of (N, 3) nodes, counted from the first."""
        return self.grid.positions(nodes + self.first)

    def nearest(self, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        """Index of the node nearest to each of (N, 3) points, three times (N,); one at the border for those beyond."""
        node = np.rint((points + self.grid.reach) / self.grid.spacing).astype(np.int64) - self.first
        return tuple(np.clip(node, 0, np.array(self.shape) - 1).T)


def make_watertight(mesh: Mesh, *, resolution: int = 256, thickness: float = 0.01) -> Watertight:
    """Closed mesh around everything that cannot be reached from outside.

    Gaps narrower than about a cell are closed; hollows without a wider opening are filled.

    Args:
        mesh: Any triangles, in the unit sphere.
        resolution: R; a cell measures 2.06 / R.
        thickness: Of the plates that open sheets become, in unit-sphere units.
    """
    mesh, _ = without_doubles(mesh)  # of two faces in one place, the nearest would be either
    grid = Grid(cells=resolution, reach=REACH)
    crossed, first = _cropped(crossed_cells(mesh, grid))
    near = corners_of(crossed)  # all nodes within .6 cells of the surface, and some around them
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
    lift = np.where(sheet, thickness / 2 * (1 - facing), 0)  # 0 on the front, half at a rim, all on the back
    result = Mesh(nearest + lift[:, None] * direction, faces)
    inside = WindingNumber(result)

    bare = _bare_vertices(result, inside)
    if bare.any():  # two fronts on one another: each keeps half the thickness
        lift[bare] = np.maximum(lift[bare], thickness / 2)
        result = Mesh(nearest + lift[:, None] * direction, faces)
        inside = WindingNumber(result)
    return Watertight(mesh=result, inside=inside, sheet_share=float((lift > thickness / 4).mean()))


def _cropped(crossed: Mask) -> tuple[Mask, NDArray[np.int64]]:
    """The part of the grid that holds all crossed cells and MARGIN more on every side, and its first cell."""
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
    """Each vertex, on an edge between an outside and a wall node, moved to where it certainly is on its own side.

    A sheet thinner than a cell bends the distance along such an edge, so the vertex itself may lie beyond it. From the
    outside node one may go as far as its distance exceeds the wall's.
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
    """(K,) whether the input encloses what lies behind a point of its surface, seen along -direction.

    Either the flood did not come to two cells behind it, or it did and the winding number says that a thin solid is
    in between. Where it says inside in both places, an opening let the flood in: that is the back of a sheet.
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
    """(K,) vertices of faces with outside on both sides; none where a sample shows hardly any."""
    normals, areas = mesh.normals_and_areas()
    centroids = mesh.vertices[mesh.faces].mean(axis=1)

    def bare(faces: NDArray[np.int64]) -> NDArray[np.int64]:
        faces = faces[~inside(centroids[faces] - PROBE * normals[faces])]  # hardly any, so the front is asked of few
        return faces[~inside(centroids[faces] + PROBE * normals[faces])]

    real = np.flatnonzero(areas > 0)
    sample = real[:: max(1, len(real) // CHECKED_FACES)]
    found = np.zeros(len(mesh.vertices), dtype=np.bool_)
    if len(bare(sample)) >= LEAST_BARE * len(sample):
        found[mesh.faces[bare(real)]] = True
    return found
