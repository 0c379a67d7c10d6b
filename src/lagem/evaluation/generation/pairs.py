"""Distances of all pairs of a list of point clouds, pair by pair in threads, kept row by row.

N clouds of P points each, in unit-sphere units.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from lagem.progress import long_progress
from lagem.storage.journal import Journal

Clouds = Sequence[NDArray[np.floating]]
Matrix = NDArray[np.float64]


class ChamferDistances:
    """Of two clouds, both directions summed: the mean distance (`lagem.geometry.chamfer_distance`) and the mean squared
    distance (Achlioptas et al. 2018, PointFlow), of the same nearest points. About 4 ms a pair of 2,048 points.

    Args:
        clouds: (P, 3) each.
    """

    def __init__(self, clouds: Clouds) -> None:
        self._trees = [cKDTree(cloud) for cloud in clouds]

    def __call__(self, first: int, second: int) -> tuple[float, float]:
        """Not squared and squared, of the clouds at two places."""
        a, b = self._trees[first], self._trees[second]
        there, back = b.query(a.data)[0], a.query(b.data)[0]
        return float(there.mean() + back.mean()), float((there**2).mean() + (back**2).mean())


class EarthMoversDistances:
    """Of two clouds: the mean distance of points to their partners, under the best of all one-to-one assignments
    (Achlioptas et al. 2018). The assignment is exact (Jonker-Volgenant, by scipy), not an auction's approximation.

    On one core about .04 s a pair of 512 points, .3 s of 1,024, 2 s of 2,048.

    Args:
        clouds: (P, 3) each.
    """

    def __init__(self, clouds: Clouds) -> None:
        self._clouds = clouds

    def __call__(self, first: int, second: int) -> tuple[float]:
        """Of the clouds at two places."""
        between = cdist(self._clouds[first], self._clouds[second])
        return (float(between[linear_sum_assignment(between)].mean()),)


def pair_distances(
    measure: Callable[[int, int], tuple[float, ...]], reach: Sequence[int], *, kept: Journal, workers: int, title: str
) -> list[Matrix]:
    """Symmetric matrices of a measure's distances.

    Args:
        measure: Gives one or more distances of the clouds at two places.
        reach: Of each of the N clouds: it is held against that many first ones, none of which comes after it.
        kept: Where rows are kept as they come; those of a killed run are taken from it.
        workers: Threads, which do not hinder one another.
        title: Of the progress bar.

    Returns:
        (N, N) for each distance of the measure; 0 on the diagonal, NaN where not asked for.
    """
    rows = []
    with long_progress() as progress, ThreadPoolExecutor(workers) as threads:
        task = progress.add_task(title, total=sum(reach))
        for row, count in enumerate(reach):
            if str(row) in kept.values:
                progress.advance(task, count)
            else:
                found = []
                for distances in threads.map(partial(measure, row), range(count)):
                    found.append(distances)
                    progress.advance(task)
                kept.add(str(row), found)
            rows.append(np.array(kept.values[str(row)], dtype=np.float64))
    matrices = []
    for number in range(next(values.shape[1] for values in rows if len(values))):
        matrix = np.full((len(reach), len(reach)), np.nan)
        np.fill_diagonal(matrix, 0)
        for row, values in enumerate(rows):
            if len(values):
                matrix[row, : len(values)] = matrix[: len(values), row] = values[:, number]
        matrices.append(matrix)
    return matrices
