"""Presets: how the published scripts of LION and OctFusion compare generated with real shapes.

The script of LION is `compute_score` of nv-tlabs/LION (`utils/eval_helper.py`, `utils/evaluation_metrics_fast.py`) with
`norm_box`, since its other normalisation needs the mean and the deviation of a training set of point clouds. The script
of OctFusion is the chain `generate_pointclouds.py`, `collect_pointclouds.py`, `cov_mmd.py` and `1-NNA.py` of
octree-nn/octfusion.

Letters: N clouds of P points each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

PresetName = Literal["lion", "octfusion"]
Cloud = NDArray[np.float64]

JSD_CELLS = 28  # nodes along a side of the grid from which LION computes the JSD
TINY = 1e-9  # keeps the quotients of the approximate assignment finite, as in the published kernel


@dataclass(frozen=True)
class Preset:
    """How one script compares a set of generated shapes with a set of real shapes.

    points: number of points per shape, for the Chamfer distance and for the EMD.
    framed: maps a cloud into the script's frame.
    squared_emd: whether the EMD adds up squared distances.
    jsd: whether the script measures the JSD.
    definition: text with which a card explains the frame, the EMD and the JSD.
    """

    points: int
    framed: Callable[[NDArray[np.floating]], Cloud]
    squared_emd: bool
    jsd: bool
    definition: str


def in_half_box(cloud: NDArray[np.floating]) -> Cloud:
    """Return (P, 3) points moved and scaled so that the longest side of their bounding box goes from -1/2 to 1/2."""
    points = np.asarray(cloud, dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) / (high - low).max()


def in_sphere(cloud: NDArray[np.floating]) -> Cloud:
    """Return (P, 3) points moved and scaled so that their bounding box is centred at 0 and the largest norm is 1."""
    points = np.asarray(cloud, dtype=np.float64)
    centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
    return centred / np.linalg.norm(centred, axis=1).max()


class ApproximateEarthMoversDistances:
    """Computes the approximate EMD of the scripts' CUDA kernels (`approxmatch` and `matchcost`, by Haoqiang Fan).

    This is a distance from a source cloud to a target cloud. Every source point has mass 1, and every target point
    needs mass 1. The mass moves in ten rounds. In the round with rate r, each source point offers its remaining mass to
    the target points, in proportion to exp(-r d²) times the mass that they still need. No point accepts more than it
    needs. The rates are 4^7, 4^6, …, 4^-1 and 0. The distance is the total cost of all moves, divided by the number of
    source points. It changes if source and target are exchanged.

    Args:
        clouds: N clouds, (P, 3) each.
        references: Number of references. They come first in `clouds`; all others are generated shapes.
        squared: Whether the cost of moving mass 1 over a distance d is d², as in LION, or d.
    """

    def __init__(self, clouds: list[Cloud], *, references: int, squared: bool) -> None:
        self._clouds, self._references, self._squared = clouds, references, squared

    def __call__(self, first: int, second: int) -> tuple[float, float]:
        """Return the distance from cloud `second` to cloud `first`, then the distance from `first` to `second`.

        There is one exception: if `first` is a generated shape and `second` a reference, both numbers are the distance
        from the reference to the generated shape. The scripts of LION and OctFusion never compute the opposite one.
        """
        a, b = self._clouds[first], self._clouds[second]
        forward = self._distance(b, a)
        return forward, self._distance(a, b) if (first < self._references) == (second < self._references) else forward

    def _distance(self, source: Cloud, target: Cloud) -> float:
        squared = cdist(source, target, "sqeuclidean")
        cost = squared if self._squared else np.sqrt(squared)
        left, lacking, total = np.ones(len(source)), np.ones(len(target)), 0.0
        for rate in [*(4.0**power for power in range(7, -2, -1)), 0.0]:
            near = np.exp(-rate * squared)
            offer = left / (near @ lacking + TINY)
            offered = lacking * (offer @ near)
            taken = lacking * np.minimum(lacking / (offered + TINY), 1)
            total += offer @ (near * cost) @ taken
            left = np.maximum(left - offer * (near @ taken), 0)
            lacking = np.maximum(lacking - offered, 0)
        return float(total / len(source))


def grid_occupancy(cloud: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how many points are nearest to each node of the grid from which LION computes the JSD.

    The grid has 28 nodes along each side of the cube [-1/2, 1/2]³. Only its nodes at a distance of at most 1/2 from
    the centre are used.

    Args:
        cloud: (P, 3) points.

    Returns:
        The counts, one for each node that is used.
    """
    axis = np.linspace(-0.5, 0.5, JSD_CELLS)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= 0.5]
    return np.bincount(cKDTree(nodes).query(cloud)[1], minlength=len(nodes))


def jensen_shannon(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Return the Jensen-Shannon divergence, in bits, of two histograms with the same bins."""
    p, q = first / first.sum(), second / second.sum()
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _entropy(probabilities: NDArray[np.float64]) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())


EMD = "EMD: mean of the {} distances under the approximate assignment of the script's CUDA kernel."
PRESETS: dict[str, Preset] = {
    "lion": Preset(
        points=2048,
        framed=in_half_box,
        squared_emd=True,
        jsd=True,
        definition="Frame: each cloud in its own bounding box, whose longest side goes from -1/2 to 1/2. "
        + EMD.format("squared")
        + " JSD: divergence in bits of the points' distributions over the nodes of a 28³ grid in the sphere of radius "
        "1/2.",
    ),
    "octfusion": Preset(
        points=2048,
        framed=in_sphere,
        squared_emd=False,
        jsd=False,
        definition="Frame: each cloud has the centre of its bounding box at 0 and its farthest point at distance 1. "
        + EMD.format("(not squared)"),
    ),
}
