"""Do the labels change exactly at the surface? The surface points are the independent witness; no normals are needed.

A ball around a query that reaches to the nearest surface point, less the largest gap between sampled points, is not
crossed by the surface. So the queries inside it have the same label, and overlapping balls join queries to regions.
Queries beyond the bounding box are outside; they belong to the region of the exterior, whose labels are thus known. In
any other region, the labels must be equal. Labels of queries too close to the surface are not judged.

Letters: N surface points, Q queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import binom

from lagem.diagnosis.examined import ExaminedShape
from lagem.diagnosis.finding import ALARM, Finding, confidence_of, listed

GAP = 4.0  # largest gap, in median distances from a surface point to the next: 1.5 of 100,000 gaps are larger
NEIGHBOURS = 12
LEAST_IN_REGION = 12
FAR = 0.15  # distance from the surface beyond which a small error of the frame changes no label
CLEAN_RATE = 0.004  # upper bound of the fraction of wrong labels that a healthy shape shows
SHIFTED = 0.9  # confidence that labels which are wrong only near the surface are in another frame
LEAST_RATE, LEAST_POOLED = 0.02, 0.004  # for an alarm on one shape, and on all shapes together


@dataclass(frozen=True)
class LabelTest:
    """Result of the test of one shape.

    judged, wrong: Number of queries whose labels were judged, and of those that contradict the surface.
    volume_wrong: Those of the wrong ones that are volume queries.
    far_wrong: Those of the wrong ones that are farther from the surface than `FAR`.
    """

    judged: int
    wrong: int
    volume_wrong: int
    far_wrong: int

    @property
    def rate(self) -> float:
        """Fraction of the judged labels that are wrong."""
        return self.wrong / max(self.judged, 1)


def label_test(shape: ExaminedShape) -> LabelTest:
    """Test the labels of one shape against its surface."""
    surface, queries, inside = shape.surface_points, shape.queries, shape.inside
    tree = cKDTree(surface)
    gap = GAP * float(np.median(tree.query(surface[:1000], k=2)[0][:, 1]))
    distance = tree.query(queries)[0]
    beyond = ((queries < surface.min(axis=0) - gap) | (queries > surface.max(axis=0) + gap)).any(axis=1)
    kept = (distance > gap) | beyond
    of_volume = np.arange(len(queries)) < len(shape.volume_points)
    queries, inside, distance, beyond, of_volume = (
        array[kept] for array in (queries, inside, distance, beyond, of_volume)
    )
    if not len(queries):
        return LabelTest(0, 0, 0, 0)
    region = _regions(queries, distance - gap, beyond)
    exterior = region == region[np.argmax(beyond)] if beyond.any() else np.zeros(len(queries), dtype=bool)
    size = np.bincount(region)
    share = np.bincount(region, weights=inside) / size
    other = ~exterior & (size[region] >= LEAST_IN_REGION)
    wrong = (exterior & inside) | (other & (inside != (share[region] > 0.5)))
    counted = (exterior | other, wrong, wrong & of_volume, wrong & (distance > FAR))
    return LabelTest(*(int(mask.sum()) for mask in counted))


def _regions(queries: NDArray[np.float64], radius: NDArray[np.float64], beyond: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the (Q,) number of the region of each query: queries in one another's (Q,) balls are joined."""
    count = len(queries)
    distance, neighbour = cKDTree(queries).query(queries, k=min(NEIGHBOURS + 1, count))
    distance, neighbour = distance.reshape(count, -1)[:, 1:], neighbour.reshape(count, -1)[:, 1:]
    joined = distance < radius[:, None]
    first = np.broadcast_to(np.arange(count)[:, None], neighbour.shape)[joined]
    outer = np.flatnonzero(beyond)
    rows = np.concatenate([first, outer[:-1]])
    columns = np.concatenate([neighbour[joined], outer[1:]])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    regions: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return regions


def wrong_shapes(tests: dict[str, LabelTest]) -> list[str]:
    """Return the ids of the shapes with wrong labels, the worst first."""
    level = ALARM / max(len(tests), 1)
    bad = [
        id
        for id, test in tests.items()
        if test.rate > LEAST_RATE and binom.sf(test.wrong - 1, test.judged, CLEAN_RATE) < level
    ]
    return sorted(bad, key=lambda id: -tests[id].rate)


def _is_shifted(tests: Sequence[LabelTest]) -> bool:
    """Return whether wrong labels are confined to volume queries near the surface, as a small shift explains."""
    wrong, of_volume, far = (
        sum(getattr(test, name) for test in tests) for name in ("wrong", "volume_wrong", "far_wrong")
    )
    return of_volume > wrong / 5 and far < wrong / 20


def judge_labels(tests: dict[str, LabelTest], *, out_of_frame: Sequence[str] = ()) -> list[Finding]:
    """Report wrong labels.

    Args:
        tests: The test of each shape, by id.
        out_of_frame: Shapes whose queries and surface are in different frames, so their labels cannot be judged.
    """
    tests = {id: test for id, test in tests.items() if id not in set(out_of_frame) and test.judged}
    if not tests:
        return []
    bad = wrong_shapes(tests)
    judged, wrong = (sum(getattr(test, name) for test in tests.values()) for name in ("judged", "wrong"))
    rate = wrong / judged
    typical = float(np.median([test.rate for test in tests.values()]))
    everywhere = typical > LEAST_POOLED and binom.sf(wrong - 1, judged, LEAST_POOLED / 2) < ALARM
    if not bad and not everywhere:
        return []
    ids = bad or sorted(tests, key=lambda id: -tests[id].rate)
    worst = tests[ids[0]]
    p = float(binom.sf(worst.wrong - 1, worst.judged, CLEAN_RATE)) * len(tests) if bad else ALARM
    if _is_shifted([tests[id] for id in ids]):
        return [
            Finding(
                check="frame",
                severity="error",
                confidence=SHIFTED,
                what=f"{rate:.1%} of {judged:,} judged labels contradict the surface, all of them near it, in "
                f"{len(ids)} of {len(tests)} shapes ({listed(ids)}): the volume queries and the surface are in "
                "slightly different frames.",
                advice="Map surface and queries alike by `Frame.of(vertices).to_unit`, as `lagem prepare` does.",
                evidence={"wrong_share": rate, "judged": judged, "shapes": ids[:100]},
            )
        ]
    whole = [id for id in bad if tests[id].rate > 0.5]
    kind = f", {len(whole)} of them with all labels flipped" if whole else ""
    return [
        Finding(
            check="labels",
            severity="error",
            confidence=confidence_of(min(p, ALARM)),
            what=f"{rate:.1%} of {judged:,} judged labels contradict the surface, in {len(bad) or len(tests)} of "
            f"{len(tests)} shapes{kind} ({listed(ids)}).",
            advice="Label the queries again (`lagem prepare`, or `lagem import`, which tests labels); if all labels "
            "of a shape are flipped, exchange inside and outside.",
            evidence={
                "wrong_share": rate,
                "judged": judged,
                "shapes_examined": len(tests),
                "median_share_of_a_shape": typical,
                "shapes": {id: round(tests[id].rate, 4) for id in ids[:100]},
            },
        )
    ]
