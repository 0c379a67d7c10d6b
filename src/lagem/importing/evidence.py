"""Tests of the positions and labels of imported data. If a test fails, its ValueError states what was measured.

The tests compare the labels with the surface points. The labels must change across the surface, queries beyond the
surface's bounding box must be outside, and stated distances must be distances from the surface. All lengths are in
unit-sphere units.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

# N surface points, Q queries

JUDGED = 4_000  # largest number of queries tested for each kind (volume, near) and label (inside, outside)
LEAST_JUDGED = 20
SIDEWAYS = 4.0  # in spacings: 15 in a million points of a surface have no sampled point within this distance
CORNERWARD = 6.0  # in spacings: 2 in a thousand points at a corner have no sampled point within this distance
OFFSET = 0.01  # largest distance between the surface that was sampled and the one that was labelled
MOST_WITHOUT_CROSSING = 0.005
# Labels with fewer than LEAST_CHANGES changes are not tested for truncation. The test fails if the labels end with a
# run of equal labels in which, judging by all earlier labels, more than MOST_EQUAL other labels would be expected.
LEAST_CHANGES, MOST_EQUAL = 20, 50
MOST_BEYOND = 1e-3  # fraction of the queries beyond the bounding box that may be inside
FRAME_TOLERANCE = 0.05  # sampled points may miss a thin tip
FARTHEST_NEAR = 0.5  # median distance of near queries from the surface
DISTANCE_TOLERANCE, MOST_WRONG_DISTANCES = 0.02, 0.05
EVENNESS = 0.1  # relative deviation of the number of volume queries in an octant of their domain


def spacing_of(points: NDArray[np.float64], tree: cKDTree) -> float:
    """Return the median distance from a surface point to its nearest neighbour."""
    return float(np.median(tree.query(points[:2000], k=2, workers=1)[0][:, 1]))


def check_frame(points: NDArray[np.float64]) -> None:
    """Raise ValueError unless the largest norm of surface points is about 1, and their bounding box is centred."""
    radius = float(np.linalg.norm(points, axis=1).max())
    offset = float(np.abs(points.min(axis=0) + points.max(axis=0)).max() / 2)
    if abs(radius - 1) > FRAME_TOLERANCE or offset > FRAME_TOLERANCE:
        raise ValueError(
            f"the surface is not in the unit sphere: its largest norm is {radius:.3f} instead of 1, and the centre of "
            f"its bounding box is off by {offset:.3f}."
        )


def check_near(distance: NDArray[np.float64]) -> None:
    """Raise ValueError if near queries are far from the surface; `distance` (Q,) is their distance from it."""
    if (middle := float(np.median(distance))) > FARTHEST_NEAR:
        raise ValueError(
            f"the near queries are not near the surface: their median distance is {middle:.3f}; the queries and the "
            "surface are in different frames."
        )


def check_sides_present(kind: str, inside: NDArray[np.bool_]) -> None:
    """Raise ValueError if all queries have the same label."""
    if inside.all() or not inside.any():
        side = "inside" if inside.all() else "outside"
        raise ValueError(f"all {len(inside)} {kind} queries are labelled {side}; the labels, or their signs, are lost.")


def check_tail(kind: str, inside: NDArray[np.bool_]) -> None:
    """Raise ValueError if the labels look truncated.

    They look truncated if, in the order of the file, inside and outside labels alternate often, but the file ends with
    a long run of one label.
    """
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    if len(changes) < LEAST_CHANGES:  # rows that are sorted by their labels are not truncated
        return
    start = int(changes[-1]) + 1
    others = float((inside[:start] != inside[-1]).mean())
    if (count := len(inside) - start) * others > MOST_EQUAL:
        raise ValueError(
            f"the last {count} of {len(inside)} {kind} labels are {'inside' if inside[-1] else 'outside'}, but "
            f"{others:.1%} of those before them are not; the labels are truncated."
        )


def check_beyond(
    kind: str,
    points: NDArray[np.float64],
    inside: NDArray[np.bool_],
    surface_points: NDArray[np.float64],
    spacing: float,
) -> None:
    """Raise ValueError if queries beyond the bounding box of the surface are labelled inside."""
    margin = max(SIDEWAYS * spacing, OFFSET)
    low, high = surface_points.min(axis=0) - margin, surface_points.max(axis=0) + margin
    beyond = ((points < low) | (points > high)).any(axis=1)
    count = int(beyond.sum())
    if count >= LEAST_JUDGED and (wrong := int(inside[beyond].sum())) > MOST_BEYOND * count:
        cause = "the labels are flipped" if wrong > count / 2 else "the labels are damaged, or in another frame"
        raise ValueError(
            f"{wrong / count:.1%} of the {count} {kind} queries beyond the surface's bounding box are labelled inside; "
            f"{cause}."
        )


def check_crossings(kind: str, opposite: NDArray[np.float64], distance: NDArray[np.float64], spacing: float) -> None:
    """Raise ValueError unless the surface lies between queries of different labels.

    If it does, the distance from a query to the surface is at most the distance from the query to the nearest query
    with the other label. The function tests this inequality. It needs no normals, and works for walls of any thickness.

    Args:
        kind: `near` or `volume`, for the message.
        opposite: (Q,) distance from each query to the nearest query with the other label.
        distance: (Q,) distance from each query to the nearest surface point.
        spacing: Spacing of the surface points.
    """
    least = np.sqrt(np.maximum(distance**2 - (SIDEWAYS * spacing) ** 2, 0)) - OFFSET
    wrong = least > opposite
    if (share := float(wrong.mean())) > MOST_WITHOUT_CROSSING:
        raise ValueError(
            f"{share:.1%} of {len(wrong)} {kind} queries are nearer to a query of the other label than to the surface "
            f"(median {np.median(opposite[wrong]):.3f} against {np.median(distance[wrong]):.3f}); the labels are "
            "shifted, shuffled or truncated, or the queries and the surface are in different frames."
        )


def check_normals(normals: NDArray[np.float64], outward: NDArray[np.float64]) -> None:
    """Raise ValueError if given normals point inward more often than outward.

    Args:
        normals: (N, 3) normals.
        outward: (N, 3) vectors of any length that point outward according to the queries' labels; zero if unknown.
    """
    cosine = np.einsum("nc,nc->n", normals, outward)
    known = cosine != 0
    if known.any() and (share := float((cosine[known] > 0).mean())) < 0.5:
        raise ValueError(f"only {share:.1%} of the normals point to the outside; they are flipped or shuffled.")


def check_distances(
    kind: str, stated: NDArray[np.float64], distance: NDArray[np.float64], spacing: float, cut: float | None
) -> None:
    """Raise ValueError unless the distances that a file states are the distances from the surface.

    They are compared with the distances from the sampled surface points. The sampled point nearest to a query is never
    nearer than the surface, and rarely more than a few spacings away from the nearest point of the surface.

    Args:
        kind: `near` or `volume`, for the message.
        stated: (Q,) absolute distances that the file states.
        distance: (Q,) distances to the nearest surface point.
        spacing: Spacing of the surface points.
        cut: The value to which larger stated distances are clamped; None if they are not clamped.
    """
    sideways = CORNERWARD * spacing
    low, high = np.sqrt(np.maximum(distance**2 - sideways**2, 0)), distance
    slack = DISTANCE_TOLERANCE * distance + spacing / 4
    low, high = low - slack, high + slack
    if cut is not None:
        low, high = np.minimum(low, cut * 0.99), np.minimum(high, cut * 1.01)
    wrong = float(((stated < low) | (stated > high)).mean())
    if wrong > MOST_WRONG_DISTANCES:
        far = distance > 4 * sideways
        ratio = (
            f"; far from it, they are {np.median(stated[far] / distance[far]):.3g} times the measured ones"
            if far.any()
            else ""
        )
        raise ValueError(
            f"{wrong:.1%} of the stated {kind} distances are not distances from the surface{ratio}; the distances are "
            "scaled, clamped or shifted."
        )


def check_evenness(from_centre: NDArray[np.float64]) -> None:
    """Raise ValueError unless volume queries are spread evenly over their domain.

    Args:
        from_centre: (Q, 3) positions relative to the centre of the domain.
    """
    count = len(from_centre)
    octant = (from_centre > 0) @ np.array([1, 2, 4])
    found = np.bincount(octant, minlength=8)
    expected = count / 8
    if float(np.abs(found - expected).max()) > EVENNESS * expected + 6 * np.sqrt(expected):
        raise ValueError(
            f"the volume queries are not uniform: the octants of their domain hold {int(found.min())} to "
            f"{int(found.max())} of them, but should hold about {expected:.0f} each; some are missing."
        )
