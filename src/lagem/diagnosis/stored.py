"""Check the stored arrays of a prepared folder: normals must be unit vectors, and no queries may be missing."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from lagem.diagnosis.finding import MOST_CONFIDENT, Finding, listed
from lagem.diagnosis.split import SplitShape
from lagem.prepared.descriptors import first_points
from lagem.prepared.shards import Shards

READING_SECONDS = 25.0
NORMAL_TOLERANCE = 0.1  # largest deviation of a normal's length from 1; rounding to 8 bits causes less than 0.01
DEVIATIONS = 5  # number of standard deviations of a fraction that count as chance
MOST_LOST = 0.005  # largest fraction of the uniform draws that may be missing from the stored pools
LEAST_NEAR = 0.98  # at least this fraction of the near queries that the settings ask for must be stored


@dataclass(frozen=True)
class Stored:
    """What was found in the stored arrays of a prepared folder.

    findings: What is wrong.
    read: Number of shapes whose arrays were read.
    others: Training shapes whose stored arrays were read, except the shapes that `read_stored` was given as `drawn`.
    """

    findings: list[Finding]
    read: int
    others: list[SplitShape]


def read_stored(
    shards: Shards,
    train: NDArray[np.integer],
    val: NDArray[np.integer],
    *,
    drawn: set[str],
    progress: Progress,
) -> Stored:
    """Test the stored arrays of as many shapes as the time allows, in random order.

    Args:
        shards: The prepared folder.
        train: Indices of the training shapes.
        val: Indices of the validation shapes.
        drawn: Ids of the shapes of which the diagnosis has already drawn a sample from the data module.
        progress: The progress bar.
    """
    deadline = time.monotonic() + READING_SECONDS
    of_train, members = set(train.tolist()), np.concatenate([train, val])
    bad: dict[str, int] = {}
    lost: dict[str, float] = {}
    near: dict[str, int] = {}
    missing, others, damaged = [], [], []
    task = progress.add_task("reading stored arrays", total=len(members))
    read = 0
    for index in np.random.default_rng(0).permutation(members).tolist():
        id = shards.ids[index]
        try:
            if count := bad_normals(shards, index):
                bad[id] = count
            if shards.count(index, "surface_normals") != shards.count(index, "surface_points"):
                missing.append(id)
            lost[id] = lost_share(shards, index)
            near[id] = shards.count(index, "near_inside") + shards.count(index, "near_outside")
            if index in of_train and id not in drawn:
                points = partial(first_points, shards, index)
                others.append(SplitShape.of(id, shards.categories[index], points))
        except ValueError as error:
            damaged.append(str(error))
        read += 1
        progress.advance(task)
        if time.monotonic() > deadline:
            break
    findings = [
        *judge_normals(bad, missing=missing, examined=read),
        *judge_pools(lost, near, expected_near=_expected_near(shards)),
        *_judge_damage(damaged, read),
    ]
    return Stored(findings, read, others)


def _expected_near(shards: Shards) -> int | None:
    """Return how many near queries each shape must have by the stored settings of the folder; None if unknown."""
    settings = shards.header.get("settings")
    if not isinstance(settings, dict):
        return None
    near, sigmas = settings.get("near"), settings.get("near_sigmas")
    return near * len(sigmas) if isinstance(near, int) and isinstance(sigmas, list) else None


def _judge_damage(damaged: Sequence[str], read: int) -> list[Finding]:
    if not damaged:
        return []
    return [
        Finding(
            check="normals" if all("surface_normals" in reason for reason in damaged) else "values",
            severity="error",
            confidence=MOST_CONFIDENT,
            what=f"{len(damaged)} of {read} shapes are damaged: {damaged[0]}",
            advice="Prepare these shapes again; `lagem inspect` verifies every shape.",
            evidence={"damaged": list(damaged)[:100]},
        )
    ]


def bad_normals(shards: Shards, index: int) -> int:
    """Return the number of stored normals of shape `index` that are not unit vectors.

    Normals are stored as 8-bit integers, which cannot be NaN. A normal that was NaN is read as (0, 0, 0) or as
    (-1, -1, -1) times 128 / 127, so it is counted here.
    """
    if not shards.count(index, "surface_normals"):
        return 0
    length = np.linalg.norm(shards.read(index, "surface_normals"), axis=1)
    return int((~(np.abs(length - 1) <= NORMAL_TOLERANCE)).sum())


def judge_normals(bad: dict[str, int], *, missing: Sequence[str], examined: int) -> list[Finding]:
    """Report stored normals that are not unit vectors.

    Args:
        bad: The number of such normals of each shape that has any, by id.
        missing: Ids of shapes whose number of normals differs from the number of surface points.
        examined: Number of shapes whose normals were read.
    """
    findings = []
    if bad:
        ids = sorted(bad, key=lambda id: -bad[id])
        findings.append(
            Finding(
                check="normals",
                severity="error",
                confidence=MOST_CONFIDENT,
                what=f"{sum(bad.values()):,} surface normals in {len(bad)} of {examined} shapes are not unit vectors "
                f"({listed(ids)}); a normal that was NaN is stored as zeros or as -128.",
                advice="Prepare or import these shapes again from meshes whose normals are finite, or remove them.",
                evidence={"normals": sum(bad.values()), "shapes": ids[:100]},
            )
        )
    if missing:
        findings.append(
            Finding(
                check="normals",
                severity="warning",
                confidence=MOST_CONFIDENT,
                what=f"{len(missing)} of {examined} shapes have fewer or more normals than surface points "
                f"({listed(list(missing))}).",
                advice="Prepare or import these shapes again.",
                evidence={"shapes": list(missing)[:100]},
            )
        )
    return findings


def lost_share(shards: Shards, index: int) -> float:
    """Return how many points are missing from a shape's two volume pools, as a fraction of the points drawn.

    The points were drawn uniformly from the ball. One pool holds the points inside the shape, the other those outside.
    The size of a pool, divided by its number of draws (see `Shards.volume_drawn`), estimates the fraction of the ball
    that is inside or outside. If no point is missing, the two fractions add up to 1. A thin shape is an exception:
    additional points were drawn inside it. Its two fractions come from different numbers of draws, so they add up to 1
    only on average. A deviation that chance explains is not counted. The result is negative if there are too many
    points.
    """
    inside, outside = (shards.count(index, f"volume_{side}") for side in ("inside", "outside"))
    drawn_inside, drawn_outside = shards.volume_drawn(index)
    lost, volume = 1 - inside / drawn_inside - outside / drawn_outside, min(inside / drawn_inside, 1.0)
    deviation = (volume * (1 - volume) * abs(1 / drawn_inside - 1 / drawn_outside)) ** 0.5
    return math.copysign(max(abs(lost) - DEVIATIONS * deviation, 0.0), lost)


def judge_pools(lost: dict[str, float], near: dict[str, int], *, expected_near: int | None) -> list[Finding]:
    """Report shapes whose stored queries are no longer those that were drawn in preparation.

    Args:
        lost: `lost_share` of each shape, by id.
        near: Number of stored near queries of each shape, by id.
        expected_near: Number of near queries that each shape must have; None if it is unknown.
    """
    findings = []
    if bad := sorted((id for id, share in lost.items() if abs(share) > MOST_LOST), key=lambda id: -abs(lost[id])):
        findings.append(_pools("volume", bad, len(lost), f"{abs(lost[bad[0]]):.1%} of the draws", dict(lost)))
    if expected_near and (
        few := sorted((id for id in near if near[id] < LEAST_NEAR * expected_near), key=lambda id: near[id])
    ):
        what = f"{1 - near[few[0]] / expected_near:.1%} of the queries"
        findings.append(_pools("near", few, len(near), what, {id: near[id] / expected_near for id in few}))
    return findings


def _pools(kind: str, bad: list[str], examined: int, most: str, evidence: dict[str, float]) -> Finding:
    return Finding(
        check="balance",
        severity="warning",
        confidence=MOST_CONFIDENT,
        what=f"{len(bad)} of {examined} shapes no longer have the {kind} queries that were drawn; the numbers differ "
        f"by up to {most} ({listed(bad)}). The proportion of queries inside and outside is no longer right.",
        advice="Prepare these shapes again; do not remove points from the pools of a prepared folder.",
        evidence={"kind": kind, "shapes": {id: round(evidence[id], 4) for id in bad[:100]}},
    )
