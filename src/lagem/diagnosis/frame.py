"""Are the points in the unit-sphere frame, and the queries in the same frame as the surface?

In the frame the bounding box is centred at 0, and the largest norm is 1. Near queries are surface points with a small
jitter, so they lie close to the surface, on both sides alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lagem.diagnosis.examined import ExaminedShape
from lagem.diagnosis.finding import MOST_CONFIDENT, Finding, listed
from lagem.geometry.frame import QUERY_BALL_RADIUS

MOST_TYPICAL = 0.012  # of the median shape: sampling misses the farthest point by a few thousandths
MOST_OF_A_SHAPE = 0.06  # sampling can miss a thin tip
MOST_MISFIT = 0.02  # mean displacement of the near queries from the surface
FARTHEST_NEAR = 0.12  # median distance of near queries; it is 0.01 to 0.02 with the published jitter
BALL_TOLERANCE = 0.01


@dataclass(frozen=True)
class FrameTest:
    """What was measured on one shape, in unit-sphere units.

    radius: Largest norm of the surface points.
    offset: Largest coordinate of the centre of their bounding box.
    misfit: Length of the mean vector from the surface to a near query, or the mean of its component away from the
        origin, whichever is larger.
    near_distance: Median distance of near queries from the surface.
    reach: Largest norm of the volume queries.
    """

    radius: float
    offset: float
    misfit: float
    near_distance: float
    reach: float

    @property
    def is_apart(self) -> bool:
        """Whether the queries are in another frame than the surface."""
        return self.misfit > MOST_MISFIT or self.near_distance > FARTHEST_NEAR

    @property
    def is_off(self) -> bool:
        """Whether the surface is not in the unit-sphere frame."""
        return max(abs(self.radius - 1), self.offset) > MOST_OF_A_SHAPE


def frame_test(shape: ExaminedShape) -> FrameTest:
    """Measure the frame of one shape."""
    surface, near = shape.surface_points, shape.near_points
    distance, nearest = cKDTree(surface).query(near) if len(near) else (np.zeros(1), np.zeros(1, dtype=int))
    shift = growth = 0.0
    if len(near):
        away, foot = near - surface[nearest], surface[nearest]
        outward = np.einsum("nc,nc->n", away, foot / np.maximum(np.linalg.norm(foot, axis=1, keepdims=True), 1e-6))
        sides = [mask for mask in (shape.near_inside, ~shape.near_inside) if mask.any()]
        # both sides count alike, so balance has no effect
        shift = float(np.linalg.norm(np.mean([away[mask].mean(axis=0) for mask in sides], axis=0)))
        growth = abs(float(np.mean([outward[mask].mean() for mask in sides])))
    return FrameTest(
        radius=float(np.linalg.norm(surface, axis=1).max()),
        offset=float(np.abs(surface.min(axis=0) + surface.max(axis=0)).max() / 2),
        misfit=max(shift, growth),
        near_distance=float(np.median(distance)),
        reach=float(np.linalg.norm(shape.volume_points, axis=1).max(initial=0)),
    )


def judge_frames(tests: dict[str, FrameTest], splits: dict[str, str]) -> list[Finding]:
    """Report shapes that are not in the frame.

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
        findings.append(
            _finding(
                f"The queries of {len(apart)} of {len(tests)} shapes are not in the frame of their surface: those near "
                f"the surface of {worst:.60} lie {tests[worst].near_distance:.3f} from it, displaced by "
                f"{tests[worst].misfit:.3f} on average ({listed(apart)}).",
                apart,
                {
                    "median_misfit": typical,
                    "worst_misfit": tests[worst].misfit,
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
            f"{split}: the surface points are not in the unit sphere: their largest norm is {np.median(radius):.3f} "
            f"(from {radius.min():.3f} to {radius.max():.3f}) instead of 1, and the centre of the bounding box is off "
            f"by {np.median(offset):.3f} (up to {offset.max():.3f}); {len(off) or len(tests)} of {len(tests)} shapes "
            f"({listed(off or list(tests))}).",
            off or list(tests),
            {"split": split, "median_norm": float(np.median(radius)), "median_offset": float(np.median(offset))},
        )
    ]


def judge_augmented(norms: Sequence[float]) -> list[Finding]:
    """Report training samples that augmentation leaves at another scale, given the largest norm of each sample."""
    if not norms or abs(np.median(norms) - 1) <= MOST_TYPICAL * 2:
        return []
    median = float(np.median(norms))
    return [
        _finding(
            f"Training samples as drawn have a largest norm of {median:.3f} instead of 1.",
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
        advice="Map surface and queries alike by `Frame.of(vertices).to_unit`, as `lagem prepare` does; check for a "
        "scale or a shift that only some arrays have, for exchanged axes, and data.init_args.augment.",
        evidence={**evidence, "shapes": list(ids)[:100]},
    )
