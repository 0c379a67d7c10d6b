"""From a field of logits to a mesh: a grid over [-1, 1]^3, marching cubes at 0.

Coarse to fine asks only near the surface. A cell is near where the signs of its corners differ; what turns up there
is followed from cell to cell, so every part seen at the coarsest grid comes out exactly as from a dense grid.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lagem.geometry.mesh import Mesh
from lagem.geometry.voxels import Mask, any_corner, corners_of

# Q query points, R resolution (cells a side), so R + 1 nodes a side

ExtractionMethod = Literal["coarse_to_fine", "dense"]
QueryLogits = Callable[[Tensor], Tensor]  # (Q, 3) float32 to (Q,), inside where > 0

Volume = NDArray[np.float32]

BEYOND = 0.1  # cells by which a shape cut by the box reaches over its border


class EmptySurfaceError(ValueError):
    """The field is outside everywhere on the grid, so there is no surface."""


@torch.no_grad()
def extract_surface(
    query_logits: QueryLogits,
    *,
    resolution: int = 128,
    method: ExtractionMethod = "coarse_to_fine",
    coarsest: int = 32,
    chunk: int = 65536,
    device: torch.device | str | None = None,
) -> Mesh:
    """Mesh of the surface where logits cross 0, in the frame of the query points, faces outward.

    Node i of (R + 1)^3 lies at exactly -1 + 2 i / R. Beyond the border everything is outside, so a shape that the
    box cuts is closed, a tenth of a cell beyond the border.

    Args:
        query_logits: (Q, 3) float32 to (Q,) logits, inside where > 0.
        resolution: R, cells along a side.
        method: Every node (`dense`), or only those near the surface (`coarse_to_fine`): parts that the coarsest
            grid misses and that touch nothing else are then lost.
        coarsest: Coarse to fine starts from `resolution` halved while that is even and not below `coarsest`; an odd
            resolution is dense. Where that grid sees nothing inside, the next finer one is asked densely.
        chunk: Most points a call of `query_logits` gets.
        device: Where the query points are put; None is the CPU.

    Raises:
        EmptySurfaceError: No node is inside.
        ValueError: The logits are of another shape than (Q,), or not finite.
    """
    if resolution < 2 or coarsest < 1 or chunk < 1:
        raise ValueError(f"resolution >= 2, coarsest >= 1, chunk >= 1 needed, found {resolution}, {coarsest}, {chunk}.")
    if method not in ("coarse_to_fine", "dense"):
        raise ValueError(f"method must be `coarse_to_fine` or `dense`, but `{method}` was given.")

    def ask(mask: Mask) -> Volume:
        return _logits_at(query_logits, np.argwhere(mask), len(mask) - 1, chunk, device)

    cells = resolution
    while method == "coarse_to_fine" and cells % 2 == 0 and cells // 2 >= coarsest:
        cells //= 2
    volume = _dense(ask, cells)
    while cells < resolution and not (volume > 0).any():
        cells *= 2
        volume = _dense(ask, cells)
    known = np.ones(volume.shape, dtype=np.bool_)
    while cells < resolution:
        cells *= 2
        volume, known = _refined(volume, known, ask)
    if not (volume > 0).any():
        raise EmptySurfaceError(
            f"no node of the {resolution + 1}^3 grid is inside (largest logit {volume.max():.3g}), so there is no "
            "surface; train longer, or raise the resolution for thin shapes."
        )
    return _marching_cubes(volume)


def surface_or_none(
    query_logits: QueryLogits, *, resolution: int, device: torch.device | str | None = None
) -> Mesh | None:
    """As `extract_surface`, but None if no node is inside."""
    try:
        return extract_surface(query_logits, resolution=resolution, device=device)
    except EmptySurfaceError:
        return None


def _logits_at(
    query_logits: QueryLogits, nodes: NDArray[np.int64], cells: int, chunk: int, device: torch.device | str | None
) -> Volume:
    """Logits (Q,) at nodes (Q, 3) of a grid of `cells` a side."""
    logits = np.empty(len(nodes), dtype=np.float32)
    for start in range(0, len(nodes), chunk):
        points = torch.from_numpy((-1 + 2 * nodes[start : start + chunk] / cells).astype(np.float32))
        found = query_logits(points.to(device) if device is not None else points)
        if found.shape != points.shape[:1]:
            raise ValueError(f"logits of shape {tuple(found.shape)} came back for {len(points)} points; return (Q,).")
        logits[start : start + chunk] = found.float().cpu().numpy()
    if bad := int((~np.isfinite(logits)).sum()):
        raise ValueError(f"{bad} of {len(logits)} logits are not finite, so they have no surface; check the weights.")
    return logits


def _dense(ask: Callable[[Mask], Volume], cells: int) -> Volume:
    mask = np.ones((cells + 1,) * 3, dtype=np.bool_)
    return ask(mask).reshape(mask.shape)


def _refined(volume: Volume, known: Mask, ask: Callable[[Mask], Volume]) -> tuple[Volume, Mask]:
    """The grid of twice the resolution: asked around sign changes, elsewhere interpolated, which keeps the sign."""
    near = any_corner(corners_of(_crossed_cells(volume)))  # one cell wider on every side
    for axis in range(3):
        volume, near = _interpolated(volume, axis), near.repeat(2, axis)
    finer_known = np.zeros(volume.shape, dtype=np.bool_)
    finer_known[::2, ::2, ::2] = known
    wanted = corners_of(near) & ~finer_known
    while wanted.any():  # again, until no sign change rests on an interpolated value
        volume[wanted] = ask(wanted)
        finer_known |= wanted
        wanted = corners_of(_crossed_cells(volume)) & ~finer_known
    return volume, finer_known


def _interpolated(volume: Volume, axis: int) -> Volume:
    """Along one axis, R + 1 nodes and the R midpoints between them."""
    nodes = np.moveaxis(volume, axis, 0)
    finer = np.empty((2 * len(nodes) - 1, *nodes.shape[1:]), dtype=volume.dtype)
    finer[::2] = nodes
    finer[1::2] = nodes[:-1] / 2 + nodes[1:] / 2
    return np.moveaxis(finer, 0, axis)


def _crossed_cells(volume: Volume) -> Mask:
    """(R, R, R), True where the corners of a cell are not all on one side."""
    return any_corner(volume > 0) & any_corner(volume <= 0)


def _marching_cubes(volume: Volume) -> Mesh:
    """Mesh where the volume over [-1, 1]^3 crosses 0, closed at the border."""
    # a padding node mirrors its neighbour's magnitude, which puts the crossing BEYOND it; an exact 0 counts as outside
    padded = np.pad(volume.astype(np.float64), 1, mode="edge")
    border = np.ones(padded.shape, dtype=np.bool_)
    border[1:-1, 1:-1, 1:-1] = False
    padded[border] = -np.abs(padded[border]) * (1 - BEYOND) / BEYOND
    vertices, faces = marching_cubes(padded)
    return Mesh(-1 + 2 * (vertices - 1) / (len(volume) - 1), faces)


def marching_cubes(volume: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Triangles where the volume crosses 0, facing to where it is negative.

    Args:
        volume: (X, Y, Z) float64, > 0 inside.

    Returns:
        vertices (K, 3) float64 in units of nodes, each on an edge between two neighbouring nodes, and faces (F, 3)
        int64. Closed where the volume's border is outside.
    """
    import mcubes

    if not hasattr(mcubes, "marching_cubes"):
        raise ImportError(
            "the installed `mcubes` is another package of that name; run `pip uninstall mcubes` and then "
            "`pip install --force-reinstall PyMCubes`."
        )
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    return vertices, faces.astype(np.int64)
