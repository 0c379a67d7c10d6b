"""Check that the labels change exactly at the surface. Only the surface points are used; no normals are needed.

A ball around a query is not crossed by the surface if its radius is the distance to the nearest surface point, minus
the largest gap between surface points. So all queries in the ball must have the label of its centre. Queries that are
connected by such balls form a region. Queries beyond the bounding box are outside, so all labels of their region, the
exterior, must be "outside". In any other region, all labels must be equal; those of the minority are wrong. Labels are
not judged in small regions, nor if a query is too close to the surface.

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

# assumed largest gap between surface points, divided by the median distance from a surface point to its nearest
# neighbour; 1.5 of 100,000 gaps are larger
GAP = 4.0
NEIGHBOURS = 12
LEAST_IN_REGION = 12
FAR = 0.15  # distance from the surface beyond which a small error of the frame changes no label
CLEAN_RATE = 0.004  # upper bound of the fraction of labels that the test calls wrong in a healthy shape
SHIFTED = 0.9  # confidence that queries are in another frame than the surface if labels are wrong only near it
# a wrong frame explains the wrong labels of a shape if this many times as many shapes are in a wrong frame
FRAME_EXPLAINS = 2
LIKELY_THE_FRAME = 0.8  # confidence of this explanation
LEAST_RATE, LEAST_POOLED = 0.02, 0.004  # smallest `rate` for an alarm: of one shape, and of all shapes together


@dataclass(frozen=True)
class LabelTest:
    """Result of the test of the labels of one shape.

    judged: Number of labels that were judged.
    wrong: Number of judged labels that contradict the surface.
    volume_wrong: Number of wrong labels that belong to volume queries.
    far_wrong: Number of wrong labels whose queries are farther than `FAR` from the surface.
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
    """Test the labels of one shape against its surface points."""
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
    """Return for each query the number of its region, (Q,).

    A query is in the same region as its neighbours in the ball of its `radius`, (Q,). All queries that are `beyond` the
    bounding box are in one region.
    """
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
    """Return the ids of the shapes with more wrong labels than chance explains, the worst first."""
    level = ALARM / max(len(tests), 1)
    bad = [
        id
        for id, test in tests.items()
        if test.rate > LEAST_RATE and binom.sf(test.wrong - 1, test.judged, CLEAN_RATE) < level
    ]
    return sorted(bad, key=lambda id: -tests[id].rate)


def _is_shifted(tests: Sequence[LabelTest]) -> bool:
    """Return whether a small shift between queries and surface explains the wrong labels.

    It does if many wrong labels belong to volume queries, and nearly all lie near the surface.
    """
    wrong, of_volume, far = (
        sum(getattr(test, name) for test in tests) for name in ("wrong", "volume_wrong", "far_wrong")
    )
    return of_volume > wrong / 5 and far < wrong / 20


def judge_labels(tests: dict[str, LabelTest], *, out_of_frame: Sequence[str] = ()) -> list[Finding]:
    """Report labels that contradict the surface.

    If the queries of many other shapes are in another frame than the surface, this fault probably concerns the shapes
    with wrong labels too. They then get a note, which says that their labels were not judged.

    Args:
        tests: Result of the test of each shape, by id.
        out_of_frame: Ids of shapes whose queries and surface are in different frames, so that labels cannot be judged.
    """
    tests = {id: test for id, test in tests.items() if id not in set(out_of_frame) and test.judged}
    if not tests:
        return []
    bad = wrong_shapes(tests)
    judged, wrong = (sum(getattr(test, name) for test in tests.values()) for name in ("judged", "wrong"))
    rate = wrong / judged
    measured = {"wrong_share": rate, "judged": judged}
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
                what=f"{rate:.1%} of {judged:,} judged labels contradict the surface, nearly all of them close to it, "
                f"in {len(ids)} of {len(tests)} shapes ({listed(ids)}): the volume queries and the surface are in "
                "slightly different frames.",
                advice="Map surface and queries by the same `Frame.of(vertices).to_unit`, as `lagem prepare` does.",
                evidence={**measured, "shapes": ids[:100]},
            )
        ]
    if len(out_of_frame) >= FRAME_EXPLAINS * len(ids):
        return [
            Finding(
                check="labels",
                severity="note",
                confidence=LIKELY_THE_FRAME,
                what=f"Labels of {len(ids)} shapes contradict the surface ({listed(ids)}). They were not judged, "
                f"because the queries of {len(out_of_frame)} other shapes are in another frame than their surface: "
                "probably the cause here too.",
                advice="Mend the frame first, and run `lagem doctor` again.",
                evidence={**measured, "shapes": ids[:100]},
            )
        ]
    whole = [id for id in bad if tests[id].rate > 0.5]
    kind = f", {len(whole)} of them with more than half of the labels wrong" if whole else ""
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
                **measured,
                "shapes_examined": len(tests),
                "median_share_of_a_shape": typical,
                "shapes": {id: round(tests[id].rate, 4) for id in ids[:100]},
            },
        )
    ]
