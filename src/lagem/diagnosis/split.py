"""Check that the training set and the validation set hold different shapes of the same kind.

Validation says nothing if the sets have shapes in common, or if the validation shapes have other categories or another
pose than the training shapes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import binom, chi2_contingency, mannwhitneyu

from lagem.diagnosis.finding import MOST_CONFIDENT, Finding, Severity, confidence_of, listed
from lagem.geometry.metrics import chamfer_distance
from lagem.prepared.descriptors import describe

LEAST_VALIDATION = 4
UNSEEN = 0.02  # fraction of validation shapes that, in a random split, may have a category without training shapes
LEAST_UNSEEN = 2
MOST_VARIATION = 0.25  # largest total variation distance between the distributions of categories in both sets
CANDIDATES = 4  # number of training shapes with which each validation shape is compared
SAME_PROBES = 0.05  # largest difference between two descriptors of the same surface
# a copy is closer than this factor times the distance between two samplings of one surface; chance changes the ratio of
# these distances by about 0.01
SAME = 1.05
LEAST_AUC = 0.7
TOLERATED_COPIES = 0.02  # fraction of the validation shapes that may be copies; collections of real meshes hold some
CATEGORY_ALARM = 1e-3
UNLIKE_ALARM = 1e-4


@dataclass(frozen=True)
class SplitShape:
    """A shape for the comparison of training and validation set.

    descriptor: (64,) distances from probe points to the surface.
    points: Function that returns (N, 3) surface points. It reads them in each call, since the points of all shapes may
        not fit into memory.
    """

    id: str
    category: str
    descriptor: NDArray[np.float64]
    points: Callable[[], NDArray[np.floating]]

    @classmethod
    def of(cls, id: str, category: str, points: Callable[[], NDArray[np.floating]]) -> "SplitShape":
        """Return a shape with the descriptor of its surface points."""
        return cls(id, category, describe(points()), points)


def check_split(
    train: Sequence[SplitShape],
    val: Sequence[SplitShape],
    *,
    others: Sequence[SplitShape] = (),
    categories: tuple[Counter[str], Counter[str]],
    counts: tuple[int, int],
) -> list[Finding]:
    """Report shapes in both sets, different categories in the two sets, and validation shapes unlike training shapes.

    If the validation set has fewer than `LEAST_VALIDATION` shapes, only this is reported. Without shapes of both sets,
    only the categories are compared.

    Args:
        train: Shapes of the training set, perhaps not all.
        val: Shapes of the validation set, perhaps not all.
        others: More shapes of the training set, which are only used to find copies of validation shapes.
        categories: Number of shapes of each category, in the training set and in the validation set.
        counts: Number of shapes in the training set and in the validation set.
    """
    if counts[1] < LEAST_VALIDATION:
        return [
            _finding(
                "warning",
                MOST_CONFIDENT,
                f"the validation set holds {counts[1]} shapes, too few to judge a training on {counts[0]} shapes.",
                {"train": counts[0], "val": counts[1]},
                "Prepare with a larger --val-share, or set the splits in the manifest.",
            )
        ]
    findings = _categories(*categories) if all(categories) else []
    if val and (train or others):
        findings += [*_overlap([*train, *others], val), *_unlike(train, val)]
    return findings


def _overlap(train: Sequence[SplitShape], val: Sequence[SplitShape]) -> list[Finding]:
    ids = {shape.id for shape in train}
    shared = [shape.id for shape in val if shape.id in ids]
    copies = [
        (a.id, b.id) for a, b in _close_pairs(train, val) if a.id != b.id and b.id not in shared and _is_copy(a, b)
    ]
    copied = sorted({b for _, b in copies})
    share = (len(shared) + len(copied)) / len(val)
    if not shared and not copied:
        return []
    few = not shared and len(copied) <= max(1, TOLERATED_COPIES * len(val))
    pairs = [f"{b:.40} = {a:.40}" for a, b in copies]
    return [
        _finding(
            "note" if few else "error",
            MOST_CONFIDENT,
            f"{share:.1%} of the {len(val)} validation shapes examined are also training shapes: "
            f"{len(shared)} have the id of a training shape, {len(copied)} have the surface of one with another id "
            f"({listed(shared + pairs)}).",
            {"shared_ids": shared[:100], "copies": copies[:100], "share": share},
            "Remove these shapes from one of the sets; `lagem inspect` lists all copies.",
        )
    ]


def _close_pairs(train: Sequence[SplitShape], val: Sequence[SplitShape]) -> list[tuple[SplitShape, SplitShape]]:
    tree = cKDTree(np.stack([shape.descriptor for shape in train]))
    of_val = np.stack([shape.descriptor for shape in val])
    count = min(CANDIDATES, len(train))
    gap, found = tree.query(of_val, k=range(1, count + 1), p=np.inf, distance_upper_bound=SAME_PROBES)
    return [(train[found[row, rank]], val[row]) for row, rank in np.argwhere(np.isfinite(gap))]


def _is_copy(a: SplitShape, b: SplitShape) -> bool:
    """Return whether two surfaces are as close to each other as two samplings of one surface are."""
    of_a, of_b = a.points(), b.points()
    half = min(len(of_a), len(of_b)) // 2
    return chamfer_distance(of_a[:half], of_b[:half]) < SAME * chamfer_distance(of_a[:half], of_a[half : 2 * half])


def _categories(seen: Counter[str], other: Counter[str]) -> list[Finding]:
    unseen = sum(count for name, count in other.items() if name not in seen)
    p_unseen = float(binom.sf(unseen - 1, other.total(), UNSEEN)) if unseen >= LEAST_UNSEEN else 1.0
    names = sorted({*seen, *other})
    table = np.array([[counts[name] for name in names] for counts in (seen, other)])
    variation = float(np.abs(table[0] / table[0].sum() - table[1] / table[1].sum()).sum() / 2)
    p_table = float(chi2_contingency(table).pvalue) if len(names) > 1 else 1.0
    differs = variation > MOST_VARIATION and p_table < CATEGORY_ALARM / 10
    if p_unseen >= CATEGORY_ALARM and not differs:
        return []
    missing = sorted(name for name in other if name not in seen)
    return [
        _finding(
            "error",
            confidence_of(min(p_unseen, p_table)),
            f"training and validation hold different categories: {unseen} of {other.total()} validation shapes are of "
            f"categories without training shapes{f' ({listed(missing)})' if missing else ''}, and the distributions of "
            f"categories have a total variation distance of {variation:.2f} (0 if equal, 1 if disjoint).",
            {
                "unseen": unseen,
                "validation_shapes": other.total(),
                "total_variation": variation,
                "p": min(p_unseen, p_table),
            },
            "Split each category at random. If no split is given, `lagem prepare` does this by a hash of the ids.",
        )
    ]


def _unlike(train: Sequence[SplitShape], val: Sequence[SplitShape]) -> list[Finding]:
    """Return an error finding if the validation shapes are unlike the training shapes, else nothing.

    For each shape of both sets, the distance to the nearest other training shape is measured. Validation shapes are
    unlike training shapes if their distances are usually larger than those of the training shapes.
    """
    if len(train) < 20:
        return []
    known = np.stack([shape.descriptor for shape in train])
    tree = cKDTree(known)
    to_train = tree.query(np.stack([shape.descriptor for shape in val]))[0]
    among = tree.query(known, k=2)[0][:, 1]
    statistic, p = mannwhitneyu(to_train, among, alternative="greater")
    auc = float(statistic) / (len(to_train) * len(among))
    if auc < LEAST_AUC or p > UNLIKE_ALARM:
        return []
    return [
        _finding(
            "error",
            confidence_of(float(p)),
            "validation shapes are unlike training shapes: the median distance to the nearest training shape is "
            f"{np.median(to_train):.2f} for a validation shape, but {np.median(among):.2f} for a training shape (a "
            f"random validation shape is farther than a random training shape in {auc:.0%} of the cases).",
            {"to_train": float(np.median(to_train)), "among_train": float(np.median(among)), "auc": auc, "p": float(p)},
            "Check that both sets are in the same pose and scale (which axis is up), and come from the same source.",
        )
    ]


def _finding(severity: Severity, confidence: float, what: str, evidence: dict[str, object], advice: str) -> Finding:
    return Finding(check="split", severity=severity, confidence=confidence, what=what, advice=advice, evidence=evidence)
