"""Extraction of a mesh from a field of logits, by marching cubes on a grid over [-1, 1]^3.

The method `coarse_to_fine` queries the field only near the surface. A cell counts as near if the signs of its corners
differ, if a logit at a corner is close to 0, or if a seed (an input point) lies in it. The surface found there is
followed from cell to cell, so every part that is found is exactly the same as from a dense grid. Memory grows with the
area of the surface, not with the volume of the cube.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.configuration.bounds import MOST_RESOLUTION, check_bounds
from lagem.geometry.extraction.audit import Audit, audit
from lagem.geometry.extraction.cubes import marching_cubes, marching_cubes_of_cells
from lagem.geometry.extraction.levels import nodes_of
from lagem.geometry.extraction.sparse import SparseGrid, padding
from lagem.geometry.mesh import Mesh

# Q query points, R resolution (cells per side), so R + 1 nodes per side

ExtractionMethod = Literal["coarse_to_fine", "dense"]
QueryLogits = Callable[[Tensor], Tensor]  # maps (Q, 3) float32 points to (Q,) logits, which are positive inside

Volume = NDArray[np.float32]

COARSEST, COARSEST_WITHOUT_SEEDS = 32, 64


class EmptySurfaceError(ValueError):
    """No node of the grid is inside, so there is no surface."""


@dataclass(frozen=True, eq=False)
class Surface(Mesh):
    """An extracted mesh, and how it was found.

    queries: Number of points at which the field was queried, including the probes of the audit.
    audit: Estimate of what was missed; None if every node was queried.
    """

    queries: int
    audit: Audit | None


@torch.no_grad()
def extract_surface(
    query_logits: QueryLogits,
    *,
    resolution: int = 128,
    method: ExtractionMethod = "coarse_to_fine",
    seeds: NDArray[np.floating] | Tensor | None = None,
    coarsest: int | None = None,
    chunk: int = 65536,
    device: torch.device | str | None = None,
    audit_seed: int = 0,
) -> Surface:
    """Extract the surface on which the logits of a field cross 0.

    On each axis, node i of R + 1 lies at exactly -1 + 2 i / R. Everything beyond the border of the grid counts as
    outside. So a shape that reaches beyond the border is cut there, and closed a tenth of a cell beyond the border.

    Args:
        query_logits: The field, which maps (Q, 3) float32 points to (Q,) logits; they are positive inside.
        resolution: R, number of cells along a side of the grid, at most MOST_RESOLUTION.
        method: `dense` queries every node. `coarse_to_fine` queries all nodes of a coarse grid, then on finer grids
            only nodes near the surface and around the seeds. At the end, it queries the centres of some of the cells
            that it skipped; these last queries are called the audit. A part of the surface that the coarsest grid, the
            seeds and the audit all miss is lost, unless it touches a part that was found.
        seeds: (N, 3) points, such as the encoder's input. Cells that hold a seed are refined down to the finest grid.
        coarsest: Least number of cells along a side of the first grid of `coarse_to_fine`; None means 32 if there are
            seeds, else 64. The number of cells is found by halving `resolution` while the half is a whole number of at
            least `coarsest`. All nodes of the first grid are queried. So with an odd resolution, every node is queried.
            If no queried point is inside, the search starts again from the next finer grid.
        chunk: Maximum number of points per call of `query_logits`.
        device: Device to which the query points are moved; None for the CPU.
        audit_seed: Seed of the audit's random probes.

    Returns:
        The surface, in the frame of the query points, with its faces outward.

    Raises:
        EmptySurfaceError: If no node is inside.
        ValueError: If the logits are not finite or not of shape (Q,), or the seeds are not finite (N, 3) points.
    """
    points = _checked_seeds(seeds)
    if coarsest is None:
        coarsest = COARSEST if len(points) else COARSEST_WITHOUT_SEEDS
    if coarsest < 1 or chunk < 1:
        raise ValueError(f"coarsest and chunk must be at least 1, but {coarsest} and {chunk} were given.")
    check_bounds("resolution", resolution, least=2, most=MOST_RESOLUTION)
    if method not in ("coarse_to_fine", "dense"):
        raise ValueError(f"method must be `coarse_to_fine` or `dense`, but `{method}` was given.")
    asked = _Queries(query_logits, chunk, device)
    cells = resolution
    while method == "coarse_to_fine" and cells % 2 == 0 and cells // 2 >= coarsest:
        cells //= 2
    while cells < resolution:
        grid = SparseGrid(asked.at_all_nodes(cells), (resolution // cells).bit_length() - 1, asked.at)
        grid.follow_sign_changes()
        grid.refine_around(points)
        report = audit(grid, lambda nodes: asked.at(nodes, resolution), asked.count, np.random.default_rng(audit_seed))
        if asked.largest > 0:
            return Surface(*_marching_cubes_of(grid), queries=asked.count, audit=report)
        cells *= 2
    volume = asked.at_all_nodes(resolution)
    if not asked.largest > 0:
        raise EmptySurfaceError(
            f"no node of the {resolution + 1}^3 grid is inside (largest logit {asked.largest:.3g}), so there is no "
            "surface; train longer, or raise the resolution for thin shapes."
        )
    return Surface(*_marching_cubes(volume), queries=asked.count, audit=None)


def surface_or_none(
    query_logits: QueryLogits,
    *,
    resolution: int,
    seeds: NDArray[np.floating] | Tensor | None = None,
    device: torch.device | str | None = None,
) -> Surface | None:
    """Return the surface that `extract_surface` extracts, or None if no node is inside."""
    try:
        return extract_surface(query_logits, resolution=resolution, seeds=seeds, device=device)
    except EmptySurfaceError:
        return None


class _Queries:
    """Queries a field at nodes of grids over the cube. The arguments are those of `extract_surface`.

    count: number of queries so far.
    largest: largest logit so far.
    """

    def __init__(self, query_logits: QueryLogits, chunk: int, device: torch.device | str | None) -> None:
        self._query_logits, self._chunk, self._device = query_logits, chunk, device
        self.count = 0
        self.largest = -np.inf

    def at(self, nodes: NDArray[np.int64], cells: int) -> Volume:
        """Return the (Q,) logits at (Q, 3) nodes of a grid with `cells` cells per side."""
        logits = np.empty(len(nodes), dtype=np.float32)
        for start in range(0, len(nodes), self._chunk):
            points = torch.from_numpy((-1 + 2 * nodes[start : start + self._chunk] / cells).astype(np.float32))
            found = self._query_logits(points.to(self._device) if self._device is not None else points)
            if found.shape != points.shape[:1]:
                raise ValueError(
                    f"logits of shape {tuple(found.shape)} were returned for {len(points)} points; return shape (Q,)."
                )
            logits[start : start + self._chunk] = found.float().cpu().numpy()
        if bad := int((~np.isfinite(logits)).sum()):
            raise ValueError(
                f"{bad} of {len(logits)} logits are not finite, so they have no surface; check the weights."
            )
        self.count += len(nodes)
        self.largest = max(self.largest, logits.max(initial=-np.inf))
        return logits

    def at_all_nodes(self, cells: int) -> Volume:
        """Return the (R + 1, R + 1, R + 1) logits at all nodes of a grid with R = `cells` cells per side."""
        sides = (cells + 1,) * 3
        volume = np.empty(sides, dtype=np.float32)
        flat = volume.reshape(-1)
        for start in range(0, flat.size, self._chunk):
            keys = np.arange(start, min(start + self._chunk, flat.size))
            flat[keys] = self.at(nodes_of(keys, cells), cells)
        return volume


def _checked_seeds(seeds: NDArray[np.floating] | Tensor | None) -> NDArray[np.float64]:
    if isinstance(seeds, Tensor):
        seeds = seeds.detach().float().cpu().numpy()
    points = np.empty((0, 3)) if seeds is None else np.asarray(seeds, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"seeds must be finite points of shape (N, 3), but {points.shape} was given.")
    return points


def _marching_cubes(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the vertices and faces of the surface on which a volume over [-1, 1]^3 crosses 0, closed at the border."""
    padded = np.pad(volume.astype(np.float64), 1, mode="edge")  # an exact 0 counts as outside
    border = np.ones(padded.shape, dtype=np.bool_)
    border[1:-1, 1:-1, 1:-1] = False
    padded[border] = padding(padded[border])
    vertices, faces = marching_cubes(padded)
    return -1 + 2 * (vertices - 1) / (len(volume) - 1), faces


def _marching_cubes_of(grid: SparseGrid) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the vertices and faces that `_marching_cubes` would return for a dense volume, given a sparse grid."""
    keys, corners = grid.crossed_cells()
    vertices, faces = marching_cubes_of_cells(keys, corners, grid.cells + 3)
    return -1 + 2 * (vertices - 1) / grid.cells, faces
