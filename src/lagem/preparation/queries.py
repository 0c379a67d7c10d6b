"""Query points and their labels.

Volume queries are uniform in the ball of radius sqrt(3), and near queries lie close to the surface. Some real shapes
fill so little of the ball that uniform draws rarely hit them; a towel rail fills 0.03%. For such a shape, more points
are drawn in the grid cells that may contain the solid. The shape stores, as `volume_drawn_inside`, how many uniform
draws from the whole ball it would take, on average, to get as many inside points as are stored. With this number, the
IoU and the fraction of the ball that is inside can be computed without bias.
"""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.distance import DistanceTo
from lagem.geometry.files.errors import MeshError
from lagem.geometry.frame import QUERY_BALL_RADIUS, QUERY_BALL_VOLUME
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.voxels import Grid, cells_of_solid, finer_cells
from lagem.preparation.settings import Settings
from lagem.preparation.solid import Solid
from lagem.prepared.quantisation import SURFACE_LIMIT, decode, encode

# N points of one kind; coordinates are in the unit-sphere frame (bounding box centred, max norm 1)

Stored = NDArray[np.signedinteger]

BEYOND = 1 + 1e-4  # a point with at least this norm is outside every shape
GRID = Grid(cells=128, reach=1.02)
DRAWN_AT_ONCE = 1 << 18
MOST_DRAWN = 1 << 23  # if too few of this number of drawn points are inside, the solid is refused as too thin
TRIED, GOOD_SHARE = 2_000, 0.05  # cells are fine enough if this fraction of 2,000 points drawn in them is inside
MOST_CELLS = 1 << 21


def volume_queries(solid: Solid, settings: Settings, random: np.random.Generator) -> tuple[Stored, Stored, int]:
    """Draw volume queries.

    Returns:
        The queries inside (N, 3), those outside (M, 3), and how many uniform draws from the ball give N points inside,
        on average.
    """
    inside, outside = by_label("volume", draw_in_ball(settings.volume, random), solid.inside)
    if len(inside) >= settings.inside:
        return inside, outside, settings.volume
    more, drawn = draw_inside(solid, settings.inside - len(inside), random)
    return np.concatenate([inside, more]), outside, settings.volume + drawn


def near_queries(
    solid: Solid, surface_points: NDArray[np.float64], settings: Settings, random: np.random.Generator
) -> tuple[Stored, Stored]:
    """Draw near queries: surface points that are jittered by Gaussian noise, for each of several sigmas.

    If a coordinate of a query is outside [-1.25, 1.25], the jitter of this query is drawn again; coordinates are never
    clipped. With sigma 0.05, only a jitter of at least 5 sigma moves a coordinate that far.

    Args:
        solid: The shape.
        surface_points: (M, 3) points on the surface, from which the points to jitter are chosen.
        settings: Number of queries per sigma, and the sigmas.
        random: Source of all random numbers.

    Returns:
        The queries inside (N, 3) and those outside (N, 3); each array is shuffled, so it mixes all sigmas.
    """
    near = []
    for sigma in settings.near_sigmas:
        base = surface_points[random.integers(len(surface_points), size=settings.near)]
        points = base + sigma * random.standard_normal(base.shape)
        while len(beyond := np.flatnonzero(np.abs(points).max(axis=1) > SURFACE_LIMIT)):
            points[beyond] = base[beyond] + sigma * random.standard_normal((len(beyond), 3))
        near.append(points)
    shuffled = np.concatenate(near)
    random.shuffle(shuffled)
    return by_label("near", shuffled, solid.inside)


def by_label(kind: str, points: NDArray[np.float64], inside: WindingNumber) -> tuple[Stored, Stored]:
    """Convert points to their stored form, and divide them into points inside and outside a shape.

    The stored positions, which are rounded, decide which points are inside.

    Args:
        kind: Kind of the queries, `volume` or `near`.
        points: (N, 3) points.
        inside: Occupancy of the shape.

    Returns:
        The stored points inside, and those outside.
    """
    stored = encode(f"{kind}_inside", points)
    position = decode(f"{kind}_inside", stored).astype(np.float64)
    label = np.einsum("nc,nc->n", position, position) < BEYOND**2
    label[label] = inside(position[label])
    return stored[label], stored[~label]


def draw_in_ball(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw (count, 3) points uniformly in the ball of radius sqrt(3), in which volume queries lie."""
    direction = random.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (QUERY_BALL_RADIUS * random.random((count, 1)) ** (1 / 3))


def draw_inside(solid: Solid, least: int, random: np.random.Generator) -> tuple[Stored, int]:
    """Draw at least `least` volume queries uniformly inside a solid.

    Returns:
        The queries (N, 3), and how many uniform draws from the ball give N points inside, on average.

    Raises:
        MeshError: If the solid is too thin.
    """
    cells, grid = _tight_cells(solid, random)
    found: list[Stored] = []
    count = drawn = 0
    while count < least:
        if drawn >= MOST_DRAWN:
            raise MeshError(
                f"only {count} of {drawn} points drawn around the mesh are inside it, but {least} are needed; the "
                "walls of the mesh are too thin to be sampled. Lower --inside, or thicken the walls."
            )
        wanted = 1.05 * (least - count) * drawn / count if count else least + 4 * drawn
        at_once = min(int(wanted) + 64, DRAWN_AT_ONCE)
        found.append(_drawn_in(cells, grid, at_once, solid.inside, random))
        count, drawn = count + len(found[-1]), drawn + at_once
    return np.concatenate(found), round(drawn * QUERY_BALL_VOLUME / (len(cells) * grid.spacing**3))


def _tight_cells(solid: Solid, random: np.random.Generator) -> tuple[NDArray[np.int64], Grid]:
    """Find cells that together hold the whole solid, and that are fine enough for points drawn in them to hit it.

    The cells are refined until at least 5% of the points drawn in them are inside the solid, or until refining
    them would give too many cells.

    Returns:
        (C, 3) cells, and their grid.
    """
    cells, grid = cells_of_solid(solid.mesh, solid.inside, GRID), GRID
    distance_to = None
    while 8 * len(cells) <= MOST_CELLS:
        if len(_drawn_in(cells, grid, TRIED, solid.inside, random)) >= GOOD_SHARE * TRIED:
            break
        distance_to = distance_to or DistanceTo(solid.mesh)
        cells, grid = finer_cells(cells, grid, solid.inside, distance_to)
    return cells, grid


def _drawn_in(
    cells: NDArray[np.int64], grid: Grid, count: int, inside: WindingNumber, random: np.random.Generator
) -> Stored:
    """Draw `count` points uniformly in the cells, and return those inside the solid, in stored form."""
    points = grid.positions(cells[random.integers(len(cells), size=count)] + random.random((count, 3)))
    return by_label("volume", points, inside)[0]
