"""What coarse to fine may have missed: probes in the middle of skipped cells, and the bound that they give.

A cell is skipped if all its corners have one sign. It can hide a part only if the field turns back to 0 inside it, so
cells whose corners come nearest to 0, counted in cells, are the most suspicious; they lie next to refined ones.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.extraction.levels import Nodes, Values, nodes_of
from lagem.geometry.extraction.sparse import SparseGrid

# S skipped cells, n probes

BUDGET = 0.1  # probes of a round, as a proportion of the queries before it
SUSPICIOUS = 0.75  # of a round's probes, those for the most suspicious cells
TOLERANCE = 0.002  # of a round's probes that may find something before the start is made denser
ROUNDS = 4  # if this round still finds something, the start is made denser too
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Audit:
    """The last round of probes, which found nothing.

    probes: Of all rounds.
    found: Probes of earlier rounds on the other side than their cell's corners; what they found is in the mesh.
    skipped: S, cells that were not refined, less the most suspicious, which were all probed.
    missed: With 95% confidence, fewer than this many of the skipped have their middle on the other side.
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
    """Probe skipped cells, refine what is found, and probe anew until nothing is.

    Args:
        grid: Its sign changes have been followed.
        ask: Logits (Q,) at (Q, 3) nodes of the finest grid.
        asked: Queries so far, by which the probes of a round are limited.
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
    doubt = (1 - CONFIDENCE) / 2**round  # each round could stop by chance: all of them together do so this rarely
    missed = int(np.ceil(rest * (1 - doubt ** (1 / drawn)))) if drawn else rest
    return Audit(probes=probes, found=found, skipped=rest, missed=min(missed, rest))


def _skipped(grid: SparseGrid) -> tuple[Nodes, NDArray[np.bool_], Values]:
    """Of cells that were not refined: the finest node in their middle, their side, and how suspicious, least first."""
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
