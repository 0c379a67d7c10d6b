"""Logits on a fine grid that are known only near the surface.

They are stored in a dense coarsest grid, and in finer grids, each of which has twice the resolution of the one before.
"""

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.key_index import Keys, distinct
from lagem.geometry.extraction.levels import (
    OCTANTS,
    Ask,
    Base,
    Nodes,
    Refined,
    Values,
    is_crossed,
    is_near,
    keys_of,
    nodes_of,
)

# R cells per side of the finest grid, N points

# A cell counts as nearly crossed if the logit at a corner is closer to 0 than this fraction of the median variation of
# logits within a crossed cell. It is larger in grids with fewer than 64 cells per side, since larger cells hide more.
MARGIN, COARSE_MARGIN = 0.3, 1.0


class SparseGrid:
    """A grid that can be refined around the sign changes of its coarsest grid, and around given points.

    base: the coarsest grid.
    levels: the finer grids, each with twice the resolution of the one before.

    Args:
        base: (c + 1, c + 1, c + 1) logits of the coarsest grid.
        doublings: Number of finer levels, at least 1; the finest grid has c * 2^doublings cells per side.
        ask: Returns the logits at nodes of a grid.
    """

    def __init__(self, base: Values, doublings: int, ask: Ask) -> None:
        self.base = Base(base)
        self._start, corners = _crossed(self.base)
        variation = float(np.median(np.ptp(corners, axis=1))) if len(corners) else 0.0
        near = []  # for each grid, coarsest first: a cell with a corner logit closer to 0 than this is nearly crossed
        for number in range(doublings + 1):
            cells = self.base.cells << number
            near.append((MARGIN if cells >= 64 else COARSE_MARGIN) * variation * self.base.cells / cells)
        if len(corners):
            every = [keys[is_near(values, near[0])] for keys, values in self.base.cells_with_corners()]
            self._start = distinct(np.concatenate([self._start, *every]))
        self.levels: list[Refined] = []
        for number in range(doublings):
            self.levels.append(Refined(self.levels[-1] if self.levels else self.base, ask, near[number + 1]))

    @property
    def cells(self) -> int:
        """R, number of cells per side of the finest grid."""
        return self.levels[-1].cells

    def follow_sign_changes(self) -> None:
        """Refine the cells that the surface crosses or nearly crosses, level by level from the coarsest grid on."""
        self._descend(self._start, np.empty((0, 3)))

    def refine_around(self, points: NDArray[np.float64]) -> None:
        """Refine, on every level, the cells that hold the (N, 3) points, and follow the surfaces that are found there.

        The points lie in [-1, 1]^3.
        """
        self._descend(np.empty(0, dtype=np.int64), points)

    def refine_all_of(self, number: int) -> None:
        """Refine all cells of the grid that is `number` doublings finer than the coarsest one.

        The logits at all nodes of this grid must be known.
        """
        grid = self.levels[number].coarser
        every = np.concatenate([keys for keys, _ in grid.cells_with_corners()])
        self._descend(np.sort(every), np.empty((0, 3)), first=number)

    def crossed_cells(self) -> tuple[Keys, NDArray[np.float64]]:
        """Return the cells that the surface crosses in the padded grid: the finest grid and a layer of cells around it.

        Each node outside the cube gets a negative logit, computed from that of its neighbour on the cube's border. So a
        surface that the border cuts off is closed outside the cube, at a distance of `BEYOND` cells from the border.

        Returns:
            (K,) keys of the cells in the padded grid, and the (K, 8) logits at their corners, as
            `marching_cubes_of_cells` takes them.
        """
        side = self.cells + 3
        keys, corners = _crossed(self.levels[-1])
        inner = keys_of(nodes_of(keys, self.cells) + 1, side - 1)
        inside = self._inside_on_the_border()
        if len(inside) == 0:
            return inner, corners.astype(np.float64)
        around = (inside[:, None] + OCTANTS).reshape(-1, 3)  # lowest nodes of the cells, counted in the padded grid
        outer = around[(around == 0).any(axis=1) | (around == side - 2).any(axis=1)]
        outer_keys = distinct(keys_of(outer, side - 1))
        all_keys = np.concatenate([inner, outer_keys])
        all_corners = np.concatenate([corners, self._padded(nodes_of(outer_keys, side - 1))])
        order = np.argsort(all_keys)
        return all_keys[order], all_corners[order]

    def _descend(self, parents: Keys, points: NDArray[np.float64], first: int = 0) -> None:
        for level in self.levels[first:]:
            cell = np.floor((points + 1) / 2 * level.coarser.cells).astype(np.int64)
            touched = keys_of(np.clip(cell, 0, level.coarser.cells - 1), level.coarser.cells)
            parents = level.refine(distinct(np.concatenate([parents, touched])))

    def _inside_on_the_border(self) -> Nodes:
        """Return the nodes of the finest grid that are inside and on the cube's border."""
        found = [np.empty((0, 3), dtype=np.int64)]
        for axis in range(3):
            others = [other for other in range(3) if other != axis]
            for side in range(2):
                plane: NDArray[np.bool_] = np.greater(self.base.values.take(-side, axis), 0)
                for level in self.levels:
                    plane = plane.repeat(2, 0).repeat(2, 1)[:-1, :-1]  # node i gets the value of coarser node i // 2
                    for nodes, inside in level.border(axis, side):
                        plane[tuple(nodes[:, others].T)] = inside
                found.append(np.insert(np.argwhere(plane), axis, side * self.cells, axis=1))
        return np.concatenate(found)

    def _padded(self, cells: Nodes) -> NDArray[np.float64]:
        """Return the (K, 8) logits at the corners of cells of the padded grid.

        A node that was not queried gets 1 or -1, since only its sign matters.
        """
        nodes = cells[:, None] + OCTANTS - 1
        real = np.clip(nodes, 0, self.cells)
        corners = self.levels[-1].known(real.reshape(-1, 3)).astype(np.float64)
        unknown = np.isnan(corners)
        corners[unknown] = np.where(self.levels[-1].inside(real.reshape(-1, 3)[unknown]), 1.0, -1.0)
        corners = corners.reshape(-1, 8)
        return np.where((nodes != real).any(axis=2), padding(corners), corners)


BEYOND = 0.1  # a shape that the cube's border cuts is closed at this distance beyond the border, in cells


def padding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logits of nodes outside the cube, given those of their neighbours on the cube's border."""
    return -np.abs(values) * ((1 - BEYOND) / BEYOND)


def _crossed(grid: Base | Refined) -> tuple[Keys, Values]:
    """Return the sorted (K,) keys of a grid's known cells that the surface crosses, and the (K, 8) corner logits."""
    keys, corners = [np.empty(0, dtype=np.int64)], [np.empty((0, 8), dtype=np.float32)]
    for some_keys, some_corners in grid.cells_with_corners():
        crossed = is_crossed(some_corners)
        keys.append(some_keys[crossed])
        corners.append(some_corners[crossed])
    found, values = np.concatenate(keys), np.concatenate(corners)
    order = np.argsort(found)
    return found[order], values[order]
