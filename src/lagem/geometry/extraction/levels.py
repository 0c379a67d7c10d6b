"""Grids of doubling resolution, each of which is known only inside the refined cells of the next coarser grid.

The key of a node is its index in the flattened grid; a cell has the key of its lowest node. The nodes of a refined grid
are stored in blocks of 2 x 2 x 2. If their indices are halved and rounded down, all nodes of a block give the same node
of the coarser grid. A node that was never queried lies in a cell of a coarser grid, and the corners of this cell all
have the same sign. The node counts as having this sign.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.key_index import KeyIndex, Keys, distinct

# R cells per side, so R + 1 nodes per side; Q nodes, K cells, P refined cells ("parents")

Nodes = NDArray[np.int64]  # (Q, 3)
Values = NDArray[np.float32]
Ask = Callable[[Nodes, int], Values]  # maps (Q, 3) nodes, and the R of their grid, to (Q,) logits

OCTANTS = np.indices((2, 2, 2)).reshape(3, 8).T  # the corners of a cell, relative to its lowest node
TRIPLES = np.indices((3, 3, 3)).reshape(3, 27).T  # the finer nodes in a parent, relative to its lowest node
SLICE = 1 << 16  # number of parents whose cells are listed at a time
# (8, 8): for each of a parent's 8 cells, the indices of its corners among the 27 nodes of the parent
CHILD_CORNERS = np.ravel_multi_index(tuple((OCTANTS[:, None] + OCTANTS).transpose(2, 0, 1)), (3, 3, 3))


def keys_of(nodes: Nodes, cells: int) -> Keys:
    """Return the keys of (..., 3) nodes of a grid with `cells` cells per side."""
    return (nodes[..., 0] * (cells + 1) + nodes[..., 1]) * (cells + 1) + nodes[..., 2]


def nodes_of(keys: Keys, cells: int) -> Nodes:
    """Return the (..., 3) nodes that have the given keys in a grid with `cells` cells per side."""
    rest, z = np.divmod(keys, cells + 1)
    x, y = np.divmod(rest, cells + 1)
    return np.stack([x, y, z], axis=-1)


def is_crossed(corners: Values) -> NDArray[np.bool_]:
    """Decide for (..., 8) logits at the corners of cells whether each cell has corners on both sides of the surface."""
    inside = corners > 0
    crossed: NDArray[np.bool_] = np.logical_xor(inside.any(axis=-1), inside.all(axis=-1))
    return crossed


def is_near(corners: Values, near: float) -> NDArray[np.bool_]:
    """Decide for (..., 8) logits at the corners of cells whether each cell has a logit within `near` of 0.

    A sign change may hide inside such a cell.
    """
    least: NDArray[np.bool_] = np.abs(corners).min(axis=-1) < near
    return least


@dataclass(frozen=True)
class Base:
    """The coarsest grid: (R + 1, R + 1, R + 1) logits, all known."""

    values: Values

    @property
    def cells(self) -> int:
        """R, number of cells per side."""
        return len(self.values) - 1

    def known(self, nodes: Nodes) -> Values:
        """Return the (Q,) logits at nodes."""
        return self.values[tuple(nodes.T)]

    def inside(self, nodes: Nodes) -> NDArray[np.bool_]:
        """Return whether nodes are inside, (Q,) bool."""
        return self.known(nodes) > 0

    def cells_with_corners(self) -> Iterator[tuple[Keys, Values]]:
        """Yield all cells, in slices: their (K,) keys, and the (K, 8) logits at their corners."""
        for x in range(self.cells):
            nodes = np.stack(np.meshgrid([x], *[np.arange(self.cells)] * 2, indexing="ij"), axis=-1).reshape(-1, 3)
            yield keys_of(nodes, self.cells), np.stack([self.known(nodes + octant) for octant in OCTANTS], axis=1)


class Refined:
    """A grid of 2R cells per side, with logits inside the coarser cells passed to `refine` or reached from them.

    Args:
        coarser: The next coarser grid, of R cells per side.
        ask: Returns the logits at nodes of a grid.
        near: A cell of this grid is nearly crossed if the logit at a corner is closer to 0 than this.
    """

    def __init__(self, coarser: "Base | Refined", ask: Ask, near: float) -> None:
        self.coarser = coarser
        self.cells: int = 2 * coarser.cells
        self._ask, self._near = ask, near
        self._blocks, self._parents = KeyIndex(), KeyIndex()
        self._block_keys: Keys = np.empty(0, dtype=np.int64)
        self._values: Values = np.empty((0, 8), dtype=np.float32)  # NaN where not queried
        # for each call of `_add`: the parents, and (P, 8) rows of `_values`, which hold the blocks of their corners
        self._waves: list[tuple[Keys, NDArray[np.int64]]] = []

    def refine(self, parents: Keys) -> Keys:
        """Query all nodes in given cells of the coarser grid, and in further cells that a sign change reaches.

        Sign changes are followed from cell to neighbouring cell until they reach no new one.

        Args:
            parents: Keys of the coarser cells, sorted and distinct. Their corners must be known. Cells that were
                refined before are skipped.

        Returns:
            Sorted keys of the cells of this grid that have become known and that the surface crosses or nearly crosses.
        """
        near = []
        while len(parents := parents[self._parents.find(parents) < 0]):
            triples = self._add(parents)
            corners = triples[:, CHILD_CORNERS]
            near.append(self._children(parents)[is_crossed(corners) | is_near(corners, self._near)])
            parents = self._reached(parents, triples > 0)
        return distinct(np.concatenate(near)) if near else parents

    def is_refined(self, cells: Keys) -> NDArray[np.bool_]:
        """Return whether cells of the coarser grid were refined, so that their nodes are known in this grid."""
        return self._parents.find(cells) >= 0

    def known(self, nodes: Nodes) -> Values:
        """Return the (Q,) logits at nodes; NaN for nodes that were not queried."""
        number = self._blocks.find(keys_of(nodes >> 1, self.coarser.cells))
        values = np.full(len(nodes), np.nan, dtype=np.float32)
        asked = number >= 0
        values[asked] = self._values[number[asked], (nodes[asked] & 1) @ [4, 2, 1]]
        return values

    def inside(self, nodes: Nodes) -> NDArray[np.bool_]:
        """Return whether nodes are inside, (Q,) bool. For nodes that were not queried, the coarser grids decide."""
        values = self.known(nodes)
        inside, unknown = values > 0, np.isnan(values)
        if unknown.any():
            inside[unknown] = self.coarser.inside(nodes[unknown] >> 1)
        return inside

    def cells_with_corners(self) -> Iterator[tuple[Keys, Values]]:
        """Yield, in slices, the cells of this grid that lie in refined cells of the coarser grid.

        Each slice consists of the (K,) keys of the cells, and the (K, 8) logits at their corners.
        """
        for parents, blocks in self._waves:
            for start in range(0, len(parents), SLICE):
                part = slice(start, start + SLICE)
                corners = self._triples(blocks[part])[:, CHILD_CORNERS]
                yield self._children(parents[part]).reshape(-1), corners.reshape(-1, 8)

    def border(self, axis: int, side: int) -> Iterator[tuple[Nodes, NDArray[np.bool_]]]:
        """Yield the known nodes on one face of the cube: (Q, 3) nodes, and whether they are inside, (Q,) bool.

        Args:
            axis: The axis that is perpendicular to the face.
            side: 0 for the face at the lower end of the axis, 1 for the one at the upper end.
        """
        on_face = TRIPLES[:, axis] == 2 * side
        for parents, blocks in self._waves:
            low = nodes_of(parents, self.coarser.cells)
            there = low[:, axis] == side * (self.coarser.cells - 1)
            nodes = 2 * low[there, None] + TRIPLES[on_face]
            yield nodes.reshape(-1, 3), (self._triples(blocks[there])[:, on_face] > 0).reshape(-1)

    def _children(self, parents: Keys) -> Keys:
        """Return the (P, 8) keys of this grid's cells inside P cells of the coarser grid."""
        return keys_of(2 * nodes_of(parents, self.coarser.cells)[:, None] + OCTANTS, self.cells)

    def _add(self, parents: Keys) -> Values:
        """Query the unknown nodes of this grid in P cells of the coarser grid, which have not been refined yet.

        Returns:
            (P, 27) logits at all 3 x 3 x 3 nodes of this grid in each of these cells.
        """
        corners = parents[:, None] + keys_of(OCTANTS, self.coarser.cells)
        keys = distinct(corners)
        new = keys[self._blocks.find(keys) < 0]
        values = np.full((len(new), 8), np.nan, dtype=np.float32)
        values[:, 0] = self.coarser.known(nodes_of(new, self.coarser.cells))
        self._blocks.add(new)
        self._block_keys = np.concatenate([self._block_keys, new])
        self._values = np.concatenate([self._values, values])
        blocks = self._numbers(corners)
        self._parents.add(parents)
        self._waves.append((parents, blocks))

        needed = np.zeros(self._values.size, dtype=np.bool_)  # a node may be in eight parents; marking avoids a sort
        for entry in self._entries(blocks):
            needed[entry] = True
        wanted = np.flatnonzero(needed & np.isnan(self._values).ravel())
        nodes = 2 * nodes_of(self._block_keys[wanted >> 3], self.coarser.cells) + OCTANTS[wanted & 7]
        self._values.reshape(-1)[wanted] = self._ask(nodes, self.cells)
        return self._triples(blocks)

    def _numbers(self, corners: Keys) -> NDArray[np.int64]:
        return np.stack([self._blocks.find(column) for column in corners.T], axis=1)  # each column is sorted

    def _entries(self, blocks: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return the indices in the flattened `_values` at which the logits of P coarser cells are stored.

        Args:
            blocks: (P, 8) rows of `_values`: for each corner of a cell, the row that holds the block of this corner.

        Returns:
            For each of the 27 nodes in a cell, (P,) indices: one for each cell.
        """
        corner, octant = (TRIPLES >> 1) @ [4, 2, 1], (TRIPLES & 1) @ [4, 2, 1]
        return [8 * blocks[:, c] + o for c, o in zip(corner, octant, strict=True)]

    def _triples(self, blocks: NDArray[np.int64]) -> Values:
        flat = self._values.reshape(-1)
        return np.stack([flat[entry] for entry in self._entries(blocks)], axis=1)

    def _reached(self, parents: Keys, inside: NDArray[np.bool_]) -> Keys:
        """Find the cells of the coarser grid that share a hidden sign change with a refined cell.

        The sign change is on a face or an edge that both cells have. The coarser grid does not show it: all corners of
        the face or edge have the same sign, but its middle, which is no node of the coarser grid, has the other sign.
        Cells whose own corners differ in sign are refined anyway.

        Args:
            parents: (P,) keys of the refined cells of the coarser grid.
            inside: (P, 27) bool, whether each node of this grid in these cells is inside.

        Returns:
            Keys of the cells found, sorted and distinct.
        """
        nodes = nodes_of(parents, self.coarser.cells)
        reached = [np.empty(0, dtype=np.int64)]
        for middle, ends, steps in HIDDEN:
            first = inside[:, ends[0]]
            hidden = inside[:, middle] != first
            for end in ends[1:]:
                hidden &= inside[:, end] == first
            for step in steps if hidden.any() else ():
                beyond = nodes[hidden] + step
                beyond = beyond[((beyond >= 0) & (beyond < self.coarser.cells)).all(axis=1)]
                reached.append(keys_of(beyond, self.coarser.cells))
        return distinct(np.concatenate(reached))


def _hidden() -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """List the 6 faces and 12 edges of a cell of the coarser grid. Such a cell has 27 nodes of the finer grid.

    Returns:
        For each face or edge: the index of its middle and the indices of its corners among the 27 nodes, and the steps
        from the cell to the other cells that share the face or edge.
    """
    found = []
    for middle in TRIPLES:
        fixed = middle != 1
        if 1 <= fixed.sum() <= 2:
            ends = (TRIPLES[:, fixed] == middle[fixed]).all(axis=1) & (TRIPLES[:, ~fixed] != 1).all(axis=1)
            steps = np.unique(np.where(fixed, (middle - 1) * OCTANTS, 0), axis=0)
            number = int(np.ravel_multi_index(tuple(middle), (3, 3, 3)))
            found.append((number, np.flatnonzero(ends), steps[steps.any(axis=1)]))
    return found


HIDDEN = _hidden()
