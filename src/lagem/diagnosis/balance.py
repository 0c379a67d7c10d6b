"""Check that queries inside and outside the shape are balanced in the samples that are drawn from the data.

Half of the volume queries of a sample should be inside (LaGeM appendix D). Near queries are surface points moved by
random noise (jitter), so many of them should be inside and many outside.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from lagem.diagnosis.examined import ExaminedShape
from lagem.diagnosis.finding import MOST_CONFIDENT, Finding, listed

TOLERATED, SEVERE = 0.05, 0.2  # deviations from 1/2 of the fraction of inside volume queries
LEAST_NEAR = 0.12  # smallest fraction of the near queries inside, and of those outside, for the median shape
MOST_REPEATED = 0.2  # largest fraction of the queries of one kind inside, or outside, that repeat another query


def check_balance(shapes: Sequence[ExaminedShape]) -> list[Finding]:
    """Report, for each split, samples with too few queries inside or outside, or with repeated queries."""
    findings = []
    for split in sorted({shape.split for shape in shapes}):
        drawn = [shape for shape in shapes if shape.split == split]
        findings += [*_volume(split, drawn), *_near(split, drawn)]
        findings += [*_repeated(split, drawn, "volume"), *_repeated(split, drawn, "near")]
    return findings


def _volume(split: str, shapes: Sequence[ExaminedShape]) -> list[Finding]:
    share = np.array([shape.volume_inside.mean() for shape in shapes if len(shape.volume_inside)])
    off = np.abs(share - 0.5)
    if not len(share) or (abs(share.mean() - 0.5) <= TOLERATED and (off > SEVERE).mean() <= 0.02):
        return []
    bad = [shape.id for shape in shapes if abs(shape.volume_inside.mean() - 0.5) > TOLERATED]
    return [
        Finding(
            check="balance",
            severity="error" if off.mean() > SEVERE else "warning",
            confidence=MOST_CONFIDENT,
            what=f"{split}: {share.mean():.1%} of the volume queries drawn are inside the shape (per shape from "
            f"{share.min():.1%} to {share.max():.1%}) instead of half ({listed(bad)}).",
            advice="Draw half of the volume queries inside and half outside, as OccupancyDataModule does; otherwise "
            "the network learns to give all queries the more frequent label.",
            evidence={"split": split, "inside_share": float(share.mean()), "shapes": bad[:100]},
        )
    ]


def _near(split: str, shapes: Sequence[ExaminedShape]) -> list[Finding]:
    share = np.array([shape.near_inside.mean() for shape in shapes if len(shape.near_inside)])
    if not len(share) or LEAST_NEAR <= np.median(share) <= 1 - LEAST_NEAR:
        return []
    return [
        Finding(
            check="balance",
            severity="warning",
            confidence=0.95,
            what=f"{split}: the median shape has {np.median(share):.1%} of its near queries inside; jitter on "
            "both sides of a surface gives between 20% and 50%.",
            advice="Prepare the shapes again, and keep all near queries. If all shapes are thin sheets, prepare them "
            "with a larger --thickness.",
            evidence={"split": split, "median_inside_share": float(np.median(share)), "shapes_examined": len(share)},
        )
    ]


def _repeated(split: str, shapes: Sequence[ExaminedShape], kind: Literal["volume", "near"]) -> list[Finding]:
    repeated: dict[str, float] = {}
    for shape in shapes:
        queries, inside = getattr(shape, f"{kind}_points"), getattr(shape, f"{kind}_inside")
        for side in (True, False):
            points = queries[inside == side]
            if len(points) >= 8:
                share = 1 - len(np.unique(points, axis=0)) / len(points)
                repeated[shape.id] = max(share, repeated.get(shape.id, 0.0))
    bad = sorted((id for id, share in repeated.items() if share > MOST_REPEATED), key=lambda id: -repeated[id])
    if len(bad) <= 0.02 * len(shapes):
        return []
    return [
        Finding(
            check="balance",
            severity="warning",
            confidence=MOST_CONFIDENT,
            what=f"{split}: samples of {len(bad)} of {len(shapes)} shapes repeat {kind} queries, up to "
            f"{repeated[bad[0]]:.0%} of those inside or outside ({listed(bad)}): too few queries are stored.",
            advice="Prepare these shapes with more queries (--volume, --inside, --near), or draw fewer per sample.",
            evidence={"split": split, "kind": kind, "shapes": {id: round(repeated[id], 3) for id in bad[:100]}},
        )
    ]
