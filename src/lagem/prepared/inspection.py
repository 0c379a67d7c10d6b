"""Inspection of a prepared folder: what it holds, and which of its shapes are suspicious.

Everything is read from the stored arrays, as in training, so the folder can be inspected without its meshes. The labels
of near queries, which come from winding numbers, are checked by a second method: the normal of the nearest stored
surface point says on which side of the surface a query lies. The two methods have only the surface in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.frame import QUERY_BALL_VOLUME, Up
from lagem.prepared.copies import Copy, find_copies
from lagem.prepared.records import Measures, mixed_axes, read_records
from lagem.prepared.shards import Shards
from lagem.progress import long_progress
from lagem.randomness import sample_generator

# lengths in unit-sphere units

JUDGED_QUERIES = 2_000  # near queries per shape whose labels are checked
UNJUDGED = 2.0  # in spacings of surface points; for closer queries, the nearest normal does not show the side
LEAST_AGREEMENT = 0.97
LEAST_INSIDE = 4e-4  # as a fraction of the ball; so 100 of the 250,000 volume queries that the authors draw are inside
LEAST_THICKNESS = 0.01  # the default thickness of an open sheet
MOST_ERROR = 0.01  # limit on `error_p99`
MOST_SHEET, MOST_DROPPED = 0.2, 0.5  # limits on `sheet_share` and `dropped_share`
FRAME_TOLERANCE = 0.05  # needed because the sampled surface points may miss a thin tip


@dataclass(frozen=True)
class ShapeReport:
    """What the inspection found about one shape.

    index: index of the shape in the folder.
    inside_share: fraction of the ball of queries (radius sqrt(3)) that is inside the shape.
    measures: the shape's row of table.csv; None if the table has no measures of it.
    agreement: fraction of the checked near queries whose labels agree with the normal of the nearest surface point.
        None if the shape was not chosen for this check, or if all of its checked queries are too close to the surface.
    thickness: mean thickness, which is twice the volume divided by the area, as for a plate; None if `measures` is
        None.
    suspicions: reasons why the shape is suspicious; empty for most shapes.
    """

    index: int
    id: str
    category: str
    split: str
    inside_share: float
    measures: Measures | None
    agreement: float | None
    thickness: float | None
    suspicions: list[str]


@dataclass(frozen=True)
class Inspection:
    """The result of an inspection.

    root: the prepared folder.
    shapes: one report per shape, in the order of the folder's index.
    refused: ids of the refused meshes, with the reasons.
    copies: pairs of shapes that are close to each other.
    up: the axis that points up in all shapes; None if the folder was made without `lagem prepare --up`.
    mixed_axes: a warning if `up` is None and only some of the shapes come from glTF files; else empty.
    damaged: ids of the damaged shapes, with the reasons; if there are any, nothing else was inspected.
    unverified: number of shapes in shards without checksums, which earlier versions of lagem wrote.
    """

    root: Path
    shapes: list[ShapeReport]
    refused: dict[str, str]
    copies: list[Copy]
    up: Up | None = None
    mixed_axes: str = ""
    damaged: dict[str, str] = field(default_factory=dict)
    unverified: int = 0


def inspect_folder(root: str | Path, *, judged: int = 200, within: float = 0.01, seed: int = 0) -> Inspection:
    """Inspect every shape of a prepared folder.

    Args:
        root: A folder that `lagem prepare` wrote.
        judged: Number of randomly chosen shapes whose labels are checked by the normals of nearby surface points.
        within: Bound of `find_copies`, below which two shapes count as copies, in unit-sphere units.
        seed: Seed of the random choices.

    Raises:
        ValueError: If the folder cannot be read, or an argument is negative.
    """
    if judged < 0 or within < 0:
        raise ValueError(f"--judged and --within must not be negative, but {judged} and {within} were given.")
    shards = Shards(root)
    if len(shards) == 0:
        raise ValueError(f"{root}: holds no prepared shape; the reasons are in {Path(root) / 'table.csv'}.")
    records = read_records(Path(root))
    refused = {record.id: record.reason for record in records.values() if record.status == "refused"}
    damaged, unverified = verify_shapes(shards)
    if damaged:
        return Inspection(root=Path(root), shapes=[], refused=refused, copies=[], damaged=damaged)
    chosen = set(sample_generator(seed, 0, "judged shapes").permutation(len(shards))[:judged].tolist())
    with long_progress() as progress:
        reports = [
            _report(shards, index, records[id].measures if id in records else None, index in chosen, seed)
            for index, id in enumerate(progress.track(shards.ids, description="inspecting"))
        ]
    areas = np.array([report.measures.area if report.measures else 4 * np.pi for report in reports])
    copies = find_copies(shards, areas, within=within)
    for copy in copies:
        _note_copy(reports, copy)
    done = [records[id] for id in shards.ids if id in records]
    return Inspection(
        root=Path(root),
        shapes=reports,
        refused=refused,
        copies=copies,
        up=shards.up,
        mixed_axes=mixed_axes(record.source for record in done) if shards.up is None else "",
        unverified=unverified,
    )


def verify_shapes(shards: Shards) -> tuple[dict[str, str], int]:
    """Read every byte of every shape, and check it.

    Returns:
        The ids of the damaged shapes with the reasons, and the number of undamaged shapes without checksums.
    """
    damaged: dict[str, str] = {}
    unverified = 0
    with long_progress() as progress:
        for index, id in enumerate(progress.track(shards.ids, description="verifying")):
            try:
                unverified += not shards.verify(index)
            except ValueError as error:
                damaged[id] = str(error)
    return damaged, unverified


def sign_agreement(shards: Shards, index: int, rng: np.random.Generator) -> float | None:
    """Estimate the fraction of a shape's near queries whose labels agree with the normal of the nearest surface point.

    Queries that are closer to the surface than twice the spacing of the surface points are left out.

    Args:
        shards: The shapes.
        index: Index of the shape.
        rng: Chooses the queries.

    Returns:
        The fraction; None if no query remains.
    """
    points = shards.read(index, "surface_points")
    normals = shards.read(index, "surface_normals")
    counts = [shards.count(index, pool) for pool in ("near_inside", "near_outside")]
    inside = round(JUDGED_QUERIES * counts[0] / max(sum(counts), 1))
    queries, labels = [], []
    for pool, label, count in (("near_inside", True, inside), ("near_outside", False, JUDGED_QUERIES - inside)):
        if count and shards.count(index, pool):
            queries.append(shards.read(index, pool, int(rng.integers(shards.count(index, pool))), count))
            labels.append(np.full(count, label))
    query, label_of = np.concatenate(queries), np.concatenate(labels)
    tree = cKDTree(points)
    distance, nearest = tree.query(query, workers=1)
    spacing = float(np.median(tree.query(points[:1000], k=2, workers=1)[0][:, 1]))
    clear = distance > UNJUDGED * spacing
    behind = np.einsum("nc,nc->n", query - points[nearest], normals[nearest]) < 0
    return float((behind == label_of)[clear].mean()) if clear.any() else None


def _report(shards: Shards, index: int, measures: Measures | None, judged: bool, seed: int) -> ShapeReport:
    inside = shards.count(index, "volume_inside") / shards.volume_drawn(index)[0]
    thickness = 2 * inside * QUERY_BALL_VOLUME / measures.area if measures else None
    agreement = sign_agreement(shards, index, sample_generator(seed, 0, shards.ids[index])) if judged else None
    found = _frame_suspicions(shards.read(index, "surface_points"))
    if inside < LEAST_INSIDE:
        found.append(f"fills {inside:.1e} of the ball, below {LEAST_INSIDE:.0e}")
    if thickness is not None and thickness < LEAST_THICKNESS:
        found.append(f"mean thickness {thickness:.4f}, below {LEAST_THICKNESS}")
    if agreement is not None and agreement < LEAST_AGREEMENT:
        found.append(f"labels and normals agree for only {agreement:.1%} of the queries")
    if measures:
        if measures.error_p99 > MOST_ERROR:
            found.append(f"surface error {measures.error_p99:.4f} at the 99th percentile, above {MOST_ERROR}")
        if measures.sheet_share > MOST_SHEET:
            found.append(f"{measures.sheet_share:.1%} of its vertices thicken open sheets")
        if measures.dropped_share > MOST_DROPPED:
            found.append(f"{measures.dropped_share:.1%} of its surface is buried or doubled")
    return ShapeReport(
        index=index,
        id=shards.ids[index],
        category=shards.categories[index],
        split=shards.splits[index],
        inside_share=inside,
        measures=measures,
        agreement=agreement,
        thickness=thickness,
        suspicions=found,
    )


def _frame_suspicions(points: NDArray[np.float32]) -> list[str]:
    found = []
    radius = float(np.linalg.norm(points, axis=1).max())
    if abs(radius - 1) > FRAME_TOLERANCE:
        found.append(f"largest norm {radius:.3f} instead of 1")
    offset = float(np.abs(points.min(axis=0) + points.max(axis=0)).max() / 2)
    if offset > FRAME_TOLERANCE:
        found.append(f"bounding box {offset:.3f} off centre")
    return found


def _note_copy(reports: Sequence[ShapeReport], copy: Copy) -> None:
    first, second = reports[copy.first], reports[copy.second]
    measured = f"Chamfer distance {copy.distance:.4f} (floor {copy.floor:.4f}) from"
    what = "the same as" if copy.same else measured
    across = ", in another split" if first.split != second.split else ""
    first.suspicions.append(f"{what} {second.id}{across}")
    second.suspicions.append(f"{what} {first.id}{across}")
