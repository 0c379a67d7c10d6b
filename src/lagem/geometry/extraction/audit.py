"""Audit of a sparse grid: an estimate of what was missed, from probes at the centres of the cells that were skipped.

All corners of a skipped cell have the same sign, so it can hide a part of the surface only if the field crosses 0
between its corners. The closer to 0 the logit at a corner is, relative to the cell's size, the more suspicious is the
cell. The most suspicious cells lie next to refined ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.levels import Nodes, Values, nodes_of
from lagem.geometry.extraction.sparse import SparseGrid

# S skipped cells, n probes

BUDGET = 0.1  # number of probes in a round, as a fraction of the queries before the audit
SUSPICIOUS = 0.75  # fraction of a round's probes that go to the most suspicious cells
TOLERANCE = 0.002  # if a larger fraction of a round's probes finds something, a whole coarse level is refined
ROUNDS = 4  # from this round on, a whole coarse level is refined if any probe finds something
CONFIDENCE = 0.95  # of the bound on the number of missed cells


@dataclass(frozen=True)
class Audit:
    """The result of an audit, whose last round of probes found nothing.

    probes: Number of probes in all rounds.
    found: Number of probes whose sign differed from that of their cell's corners. What they found is part of the mesh.
    skipped: Number of cells that were not refined. The most suspicious ones are not counted, because the last round
        probed all of them.
    missed: Bound on the number of skipped cells whose centre differs in sign from their corners; with 95% confidence,
        the number is smaller.
    """

    probes: int
    found: int
    skipped: int
    missed: int

    def __str__(self) -> str:
        return (
            f"with {CONFIDENCE:.0%} confidence fewer than {self.missed} of {self.skipped} skipped cells were missed "
            f"({self.probes} probes, {self.found} found something)"
        )


def audit(grid: SparseGrid, ask: Callable[[Nodes], Values], asked: int, rng: np.random.Generator) -> Audit:
    """Probe skipped cells, refine the grid around what is found, and repeat this until a round finds nothing.

    Args:
        grid: Grid on which `follow_sign_changes` was called.
        ask: Maps (Q, 3) nodes of the finest grid to their (Q,) logits.
        asked: Number of queries so far, which limits the number of probes in a round.
        rng: Chooses the probes.
    """
    probes, found, dense_levels = 0, 0, 0
    round = 0
    while True:
        round += 1
        middle, inside, suspicion = _skipped(grid)
        count = min(int(BUDGET * asked), len(middle))
        certain = int(SUSPICIOUS * count)
        order = np.argsort(suspicion, kind="stable")
        chosen = np.concatenate([order[:certain], rng.choice(order[certain:], count - certain, replace=False)])
        other_side = (ask(middle[chosen]) > 0) != inside[chosen]
        hits = int(other_side.sum())
        probes += count
        if hits == 0:
            break
        found += hits
        grid.refine_around(-1 + 2 * middle[chosen][other_side] / grid.cells)
        if hits > TOLERANCE * count or round >= ROUNDS:
            grid.refine_all_of(dense_levels)
            dense_levels += 1
    rest, drawn = len(middle) - certain, count - certain
    doubt = (1 - CONFIDENCE) / 2**round  # any round may end the audit by chance; doubts sum to below 1 - CONFIDENCE
    missed = int(np.ceil(rest * (1 - doubt ** (1 / drawn)))) if drawn else rest
    return Audit(probes=probes, found=found, skipped=rest, missed=min(missed, rest))


def _skipped(grid: SparseGrid) -> tuple[Nodes, NDArray[np.bool_], Values]:
    """List the S cells that are not refined.

    Returns:
        For each cell, the node of the finest grid at its centre, (S, 3); whether its corners are inside, (S,); and the
        smallest absolute logit at its corners, relative to the cell's size, (S,). The lower this value, the more
        suspicious is the cell.
    """
    middles, inside, suspicion = [np.empty((0, 3), dtype=np.int64)], [np.empty(0, dtype=np.bool_)], [np.empty(0)]
    for level in grid.levels:
        coarser = level.coarser
        for keys, corners in coarser.cells_with_corners():
            skipped = ~level.is_refined(keys)
            nodes, corners = nodes_of(keys[skipped], coarser.cells), corners[skipped]
            middles.append((2 * nodes + 1) * (grid.cells // level.cells))
            inside.append(corners[:, 0] > 0)
            suspicion.append(np.abs(corners).min(axis=1) * coarser.cells)
    return np.concatenate(middles), np.concatenate(inside), np.concatenate(suspicion)
