"""Check that surfaces are in the unit-sphere frame, and that queries are in the frame of their surface.

In the unit-sphere frame, the bounding box of the surface is centred at 0, and the largest norm is 1. Near queries are
surface points moved by a small random distance (jitter). So they lie close to the surface, and equally far on both
sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import t as student

from lagem.diagnosis.examined import ExaminedShape, Labels, Points
from lagem.diagnosis.finding import ALARM, MOST_CONFIDENT, Finding, listed
from lagem.geometry.frame import QUERY_BALL_RADIUS

MOST_TYPICAL = 0.012  # largest deviation of the median shape: sampling misses the farthest point by a few thousandths
MOST_OF_A_SHAPE = 0.06  # largest deviation of a single shape: sampling can miss a thin tip
MOST_MISFIT = 0.02  # largest mean displacement of the near queries from the surface
HEALTHY_MISFIT = 0.005  # largest mean displacement in a healthy shape, except for chance
FARTHEST_NEAR = 0.12  # largest median distance of near queries; with the published jitter it is 0.01 to 0.02
LEAST_NEAR = 24  # with fewer distinct near queries, their median distance is not judged
BALL_TOLERANCE = 0.01
WINDOWS = (0.12, 0.06, 0.03, 0.03)  # largest distances of the near queries by which a shift is estimated, in turn
MOST_SHIFT = 0.006  # largest shift; in 555 healthy shapes, the estimate was at most 0.0031
HEALTHY_SHIFT = 0.002  # largest shift in a healthy shape, except for chance
PATCH = 8  # number of nearest surface points through which a plane is fitted


@dataclass(frozen=True)
class FrameTest:
    """What was measured on one shape, in unit-sphere units.

    radius: Largest norm of the surface points.
    offset: Largest absolute coordinate of the centre of the bounding box of the surface points.
    misfit: Displacement of the near queries from the surface. Let v be the vector from the nearest surface point to a
        near query, and c the component of v that points away from the origin. The misfit is the larger of two numbers:
        the length of the mean of v, and the absolute value of the mean of c. In both means, the queries inside have
        the same total weight as those outside.
    chance: The part of the misfit that chance can explain, given the number of near queries and their spread; infinite
        if there is only one distinct query inside, or outside.
    shift: Length of the shift of the queries against the surface, estimated by least squares (`_shift`). It is more
        precise than the misfit, which averages only a third of a shift, but misses large shifts.
    shift_chance: The part of the shift that chance can explain; infinite if there are too few queries.
    near_count: Number of distinct near queries.
    near_distance: Median distance of near queries from the surface.
    reach: Largest norm of the volume queries.
    """

    radius: float
    offset: float
    misfit: float
    chance: float
    shift: float
    shift_chance: float
    near_count: int
    near_distance: float
    reach: float

    @property
    def is_apart(self) -> bool:
        """Whether the near queries are in a different frame than the surface.

        A shape with few near queries is only called so if its misfit or its shift is larger than chance explains.
        """
        is_displaced = self.misfit > max(MOST_MISFIT, HEALTHY_MISFIT + self.chance)
        is_far = self.near_distance > FARTHEST_NEAR and self.near_count >= LEAST_NEAR
        return is_displaced or self.is_shifted or is_far

    @property
    def is_shifted(self) -> bool:
        """Whether chance does not explain the estimated shift."""
        return self.shift > max(MOST_SHIFT, HEALTHY_SHIFT + self.shift_chance)

    @property
    def is_off(self) -> bool:
        """Whether the surface is not in the unit-sphere frame."""
        return max(abs(self.radius - 1), self.offset) > MOST_OF_A_SHAPE


def frame_test(shape: ExaminedShape) -> FrameTest:
    """Measure how well the surface of a shape fits the unit-sphere frame, and how well the queries fit the surface."""
    surface = shape.surface_points
    near, first = np.unique(shape.near_points, axis=0, return_index=True)  # a query drawn twice is evidence only once
    inside = shape.near_inside[first]
    tree = cKDTree(surface)
    distance, nearest = tree.query(near) if len(near) else (np.zeros(1), np.zeros(1, dtype=int))
    mean = growth = chance = shift = 0.0
    shift_chance = math.inf
    if len(near):
        away, foot = near - surface[nearest], surface[nearest]
        outward = np.einsum("nc,nc->n", away, foot / np.maximum(np.linalg.norm(foot, axis=1, keepdims=True), 1e-6))
        sides = [mask for mask in (inside, ~inside) if mask.any()]
        # the queries inside and those outside have equal weight, however many there are of each
        mean = float(np.linalg.norm(np.mean([away[mask].mean(axis=0) for mask in sides], axis=0)))
        growth = abs(float(np.mean([outward[mask].mean() for mask in sides])))
        chance = _chance([away[mask] for mask in sides])
        shift, shift_chance = _shift(tree, near, distance, inside)
    return FrameTest(
        radius=float(np.linalg.norm(surface, axis=1).max()),
        offset=float(np.abs(surface.min(axis=0) + surface.max(axis=0)).max() / 2),
        misfit=max(mean, growth),
        chance=chance,
        shift=shift,
        shift_chance=shift_chance,
        near_count=len(near),
        near_distance=float(np.median(distance)),
        reach=float(np.linalg.norm(shape.volume_points, axis=1).max(initial=0)),
    )


def _shift(surface: cKDTree, near: Points, distance: Points, inside: Labels) -> tuple[float, float]:
    """Estimate by which shift near queries differ from a jitter of the surface, and return the length of the shift.

    Near a query, the surface is taken as the plane through its nearest points, with the unit normal n. A query at the
    signed distance r from its plane gives the equation n.v = r for the shift v, except for its jitter. All equations
    are solved by least squares, the queries are moved back by the solution, and so on with ever nearer queries
    (`WINDOWS`). Queries inside have the same total weight as those outside. Directions that few planes face are left
    out. If the queries are not nearer to the surface once they are moved back, as can happen in a fine grating, no
    shift is found.

    Args:
        surface: Tree of the (N, 3) surface points.
        near: (Q', 3) near queries.
        distance: (Q',) their distances from the nearest surface points.
        inside: (Q',) True for those inside.

    Returns:
        The length of the shift, and a bound: with a probability of about ALARM, chance explains more than this. The
        bound is infinite if there are too few points or queries, or if no shift is found.
    """
    if surface.n < PATCH:
        return 0.0, math.inf
    shift, votes = np.zeros(3), list[Points]()
    for window in WINDOWS:
        _, nearest = surface.query(near - shift, k=PATCH)
        patches = surface.data[nearest]
        centres = patches.mean(axis=1)
        about = patches - centres[:, None]
        normals = np.linalg.eigh(np.einsum("npi,npj->nij", about, about))[1][:, :, 0]
        distances = np.einsum("nc,nc->n", near - shift - centres, normals)
        sides = [side & (np.abs(distances) < window) for side in (inside, ~inside)]
        if min(int(side.sum()) for side in sides) < PATCH:
            return 0.0, math.inf
        facing = np.mean([normals[side].T @ normals[side] / side.sum() for side in sides], axis=0)
        solve = np.linalg.pinv(facing, rcond=0.1, hermitian=True)
        votes = [(normals[side] * distances[side, None]) @ solve for side in sides]
        shift = shift + np.mean([vectors.mean(axis=0) for vectors in votes], axis=0)
    moved_back, _ = surface.query(near - shift)
    if moved_back.mean() >= distance.mean():
        return 0.0, math.inf
    return float(np.linalg.norm(shift)), _chance(votes)


def _chance(sides: Sequence[Points]) -> float:
    """Return a bound; with a probability of about ALARM, a mean of several means is farther from its expectation.

    Args:
        sides: For each of these means, the (n, 3) vectors over which it is taken.
    """
    fewest = min(map(len, sides))
    if fewest < 2:
        return math.inf
    variance = sum(float(vectors.var(axis=0, ddof=1).sum()) / len(vectors) for vectors in sides) / len(sides) ** 2
    return float(student.isf(ALARM, fewest - 1)) * math.sqrt(variance)


def judge_frames(tests: dict[str, FrameTest], splits: dict[str, str]) -> list[Finding]:
    """Report shapes whose surface is not in the unit-sphere frame, or whose queries are not in the surface's frame.

    Args:
        tests: The measurements of each shape, by id.
        splits: The split of each shape, by id.
    """
    findings = []
    for split in sorted(set(splits.values())):
        ids = [id for id in tests if splits[id] == split]
        findings += _off(split, {id: tests[id] for id in ids})
    apart = [id for id, test in tests.items() if test.is_apart or test.reach > QUERY_BALL_RADIUS + BALL_TOLERANCE]
    typical = float(np.median([test.misfit for test in tests.values()])) if tests else 0.0
    if apart:
        worst = max(apart, key=lambda id: (tests[id].misfit, tests[id].near_distance))
        test = tests[worst]
        findings.append(
            _finding(
                f"The queries of {len(apart)} of {len(tests)} shapes are not in the frame of their surface. For "
                f"example, the near queries of {worst:.60} have a median distance of {test.near_distance:.3f} from the "
                f"surface, and a mean displacement of {test.misfit:.3f}"
                f"{f'; they seem shifted by {test.shift:.3f}' if test.is_shifted else ''} ({listed(apart)}).",
                apart,
                {
                    "median_misfit": typical,
                    "worst_misfit": test.misfit,
                    "worst_shift": test.shift,
                    "split": sorted({splits[i] for i in apart}),
                },
            )
        )
    return findings


def _off(split: str, tests: dict[str, FrameTest]) -> list[Finding]:
    if not tests:
        return []
    radius, offset = (np.array([getattr(test, name) for test in tests.values()]) for name in ("radius", "offset"))
    off = [id for id, test in tests.items() if test.is_off]
    typical = abs(float(np.median(radius)) - 1), float(np.median(offset))
    if not off and max(typical) <= MOST_TYPICAL:
        return []
    return [
        _finding(
            f"{split}: surfaces are not in the unit-sphere frame: the largest norm of a shape's points is "
            f"{np.median(radius):.3f} in the median (from {radius.min():.3f} to {radius.max():.3f}) instead of 1, and "
            f"the centre of the bounding box is off by {np.median(offset):.3f} (up to {offset.max():.3f}). This "
            f"concerns {len(off) or len(tests)} of {len(tests)} shapes ({listed(off or list(tests))}).",
            off or list(tests),
            {"split": split, "median_norm": float(np.median(radius)), "median_offset": float(np.median(offset))},
        )
    ]


def judge_augmented(norms: Sequence[float]) -> list[Finding]:
    """Report if augmented training samples are not scaled to the unit sphere, given the largest norm in each sample."""
    if not norms or abs(np.median(norms) - 1) <= MOST_TYPICAL * 2:
        return []
    median = float(np.median(norms))
    return [
        _finding(
            f"In augmented training samples, the largest norm of the surface points is {median:.3f} in the median "
            "instead of 1.",
            [],
            {"split": "train", "median_norm": median},
        )
    ]


def _finding(what: str, ids: Sequence[str], evidence: dict[str, object]) -> Finding:
    return Finding(
        check="frame",
        severity="error",
        confidence=MOST_CONFIDENT,
        what=what,
        advice="Map surface and queries by the same `Frame.of(vertices).to_unit`, as `lagem prepare` does. Look for a "
        "scale or a shift that was applied to only some arrays, and for exchanged axes; check data.init_args.augment.",
        evidence={**evidence, "shapes": list(ids)[:100]},
    )
