"""The shapes that a diagnosis examines: samples of the data module as NumPy arrays, and a check of their values.

Letters: N surface points, Q volume queries, Q' near queries. Lengths are in unit-sphere units.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lagem.diagnosis.finding import MOST_CONFIDENT, Finding, listed
from lagem.samples import OccupancyBatch

MOST_AT_ONE_POSITION = 0.05  # largest fraction of a shape's surface points that may have the same position
POINTS = ("surface_points", "volume_points", "near_points")
Points = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class ExaminedShape:
    """One sample of one shape.

    surface_points: (N, 3) distinct surface points, in the order in which they were drawn. If few points are stored, a
        sample can hold a point several times; the repetitions are removed here.
    volume_points, near_points: (Q, 3) volume queries and (Q', 3) near queries.
    volume_inside, near_inside: (Q,) and (Q',) labels of these queries, True inside.
    at_one_position: Largest fraction of the sample's surface points that share their position with one and the same
        other point; 0 if all points differ.
    not_finite: For each tensor of the sample, by name, the number of values that are NaN or infinite; for labels, the
        number that are neither 0 nor 1. Tensors without such values are left out.
    """

    id: str
    category: str
    split: str
    surface_points: Points
    volume_points: Points
    near_points: Points
    volume_inside: Labels
    near_inside: Labels
    at_one_position: float
    not_finite: dict[str, int]

    @property
    def is_valid(self) -> bool:
        """Whether all values are finite, all labels are 0 or 1, and few surface points share one position."""
        return not self.not_finite and self.at_one_position <= MOST_AT_ONE_POSITION

    @property
    def queries(self) -> Points:
        """All queries, (Q + Q', 3): volume queries, then near queries."""
        return np.concatenate([self.volume_points, self.near_points])

    @property
    def inside(self) -> Labels:
        """Labels of all queries, (Q + Q',), True inside."""
        return np.concatenate([self.volume_inside, self.near_inside])


def examined(batches: Iterable[OccupancyBatch], split: str) -> Iterator[ExaminedShape]:
    """Yield each sample of the batches as an `ExaminedShape`."""
    for batch in batches:
        tensors = {name: value.cpu() for name, value in vars(batch).items() if isinstance(value, Tensor)}
        for row in range(len(batch)):
            arrays = {name: tensor[row].double().numpy() for name, tensor in tensors.items() if len(tensor) > row}
            bad = {name: int((~np.isfinite(array)).sum()) for name, array in arrays.items()}
            for name in ("volume_occupancy", "near_occupancy"):
                bad[name] = int((~np.isin(arrays[name], (0, 1))).sum())
            arrays["surface_points"], at_one_position = _distinct(arrays["surface_points"])
            yield ExaminedShape(
                id=batch.ids[row],
                category=batch.categories[row],
                split=split,
                **{name: arrays[name] for name in POINTS},
                volume_inside=arrays["volume_occupancy"] > 0.5,
                near_inside=arrays["near_occupancy"] > 0.5,
                at_one_position=at_one_position,
                not_finite={name: count for name, count in bad.items() if count},
            )


def _distinct(points: Points) -> tuple[Points, float]:
    """Return the distinct points in their order, and the largest fraction of points at the position of another one."""
    _, first, counts = np.unique(points, axis=0, return_index=True, return_counts=True)
    return points[np.sort(first)], float((counts.max(initial=1) - 1) / max(len(points), 1))


def check_values(shapes: Sequence[ExaminedShape]) -> list[Finding]:
    """Report invalid values in any tensor of any sample.

    Invalid are NaN, infinite values, labels that are neither 0 nor 1, and surface points that have one position.
    """
    names = sorted({name for shape in shapes for name in shape.not_finite})
    findings = []
    for name in names:
        bad = [shape for shape in shapes if name in shape.not_finite]
        values = sum(shape.not_finite[name] for shape in bad)
        kind = "neither 0 nor 1" if "occupancy" in name else "not finite"
        counted = "1 value is" if values == 1 else f"{values:,} values are"
        findings.append(
            Finding(
                check="normals" if "normal" in name else "values",
                severity="error",
                confidence=MOST_CONFIDENT,
                what=f"{name}: {counted} {kind}, in {len(bad)} of {len(shapes)} shapes "
                f"({listed([shape.id for shape in bad])}).",
                advice="Repair or remove these shapes; a single such value spoils the loss of its batch.",
                evidence={"tensor": name, "values": values, "shapes": [shape.id for shape in bad][:100]},
            )
        )
    if collapsed := [shape for shape in shapes if shape.at_one_position > MOST_AT_ONE_POSITION]:
        least, most = (bound(shape.at_one_position for shape in collapsed) for bound in (min, max))
        count = f"all {len(shapes)}" if len(collapsed) == len(shapes) else f"{len(collapsed)} of {len(shapes)}"
        ids = [shape.id for shape in collapsed]
        findings.append(
            Finding(
                check="values",
                severity="error",
                confidence=MOST_CONFIDENT,
                what=f"surface_points: in {count} shapes ({listed(ids)}), {_percent(least, most)} of the points are at "
                "one and the same position; points that were NaN are stored as zeros.",
                advice="Prepare or import these shapes again from meshes whose points are finite, or remove them.",
                evidence={"tensor": "surface_points", "largest_fraction": most, "shapes": ids[:100]},
            )
        )
    return findings


def _percent(least: float, most: float) -> str:
    return f"{most:.0%}" if f"{least:.0%}" == f"{most:.0%}" else f"{least:.0%} to {most:.0%}"
