"""Converts one shape that others prepared: tests its positions and labels, then puts it into our format."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.frame import QUERY_BALL_RADIUS, QUERY_BALL_VOLUME, Frame
from lagem.importing import evidence
from lagem.importing.layout import Layout
from lagem.importing.normals import estimate_normals, outward_votes
from lagem.importing.raw_shape import RawQueries, RawShape
from lagem.importing.settings import ImportSettings
from lagem.preparation.queries import draw_in_ball
from lagem.prepared.quantisation import SURFACE_LIMIT, encode
from lagem.prepared.records import Measures
from lagem.prepared.shard_file import ShapeArrays
from lagem.randomness import sample_generator
from lagem.sources.mesh_files import MeshSource

# N surface points, Q queries; lengths in unit-sphere units once a shape is in its frame

BALL_TOLERANCE = 1e-3
ROUNDING = 1e-4  # near queries closer to the surface might change sides when they are rounded
DRAWS_AT_ONCE = 1 << 18
MOST_ROUNDS = 200  # of draws in the part of the ball outside the box of the volume queries; usually a few suffice
MOST_MISSING = 0.01  # fraction of the draws that may be missing after these rounds
LEAST_OF_WHOLE = 0.8  # for a box that contains the ball, an estimated `share` above this value becomes 1
LEAST_SHARE = 1e-6  # fraction of the ball that the volume queries must cover; the box of any solid covers far more


def convert_shape(
    source: MeshSource, raw: RawShape, layout: Layout, settings: ImportSettings
) -> tuple[ShapeArrays, Measures]:
    """Test the positions and labels of one shape, and convert it into the arrays of a prepared folder.

    Returns:
        The shape's arrays, and measures of the shape for its record.

    Raises:
        ValueError: If positions or labels are wrong; the message says what was measured.
    """
    random = sample_generator(settings.seed, 0, source.id)
    kept = random.permutation(len(raw.surface_points))[: settings.surface]
    frame = Frame(center=np.zeros(3), scale=1.0) if layout.frame == "sphere" else Frame.of(raw.surface_points)
    points = frame.to_unit(raw.surface_points)
    volume, near = _in_frame(raw.volume, frame), _in_frame(raw.near, frame)
    cut = None if layout.truncation is None else layout.truncation * frame.scale
    evidence.check_frame(points)
    domain = _Domain.of(volume.points, layout)
    domain.check(volume.points, points)
    tree = cKDTree(points)
    normals, sure = _checked_normals(points, raw.surface_normals, tree, volume, near, cut, random)

    sides, drawn = _volume_pools(volume, domain, settings, random)
    near_pools = _near_pools(near, sure, settings, random)
    if len(sides[0]) + len(near_pools[0]) == 0:
        raise ValueError("no query is inside.")
    distances = tree.query(points[kept[:5000]], k=2, workers=1)[0][:, 1]
    area = len(points) * np.pi * float((distances**2).mean())  # formula for uniform points
    arrays = ShapeArrays(
        id=source.id,
        category=source.category,
        split=source.split,
        frame=raw.source.then(frame),
        faces=0,
        volume_drawn_inside=drawn[0],
        volume_drawn_outside=drawn[1],
        near_sigmas=(),
        pools={
            "surface_points": encode("surface_points", points[kept]),
            "surface_normals": encode("surface_normals", normals[kept]),
            "volume_inside": encode("volume_inside", sides[0]),
            "volume_outside": encode("volume_outside", sides[1]),
            "near_inside": encode("near_inside", near_pools[0]),
            "near_outside": encode("near_outside", near_pools[1]),
        },
    )
    measures = Measures(
        route="imported",
        faces=0,
        solid_faces=0,
        area=area,
        inside_share=len(sides[0]) / drawn[0],
        volume_inside=len(sides[0]),
        near_inside=len(near_pools[0]),
        error_mean=0.0,
        error_p99=0.0,
        sheet_share=0.0,
        dropped_share=0.0,
    )
    return arrays, measures


def _in_frame(queries: RawQueries, frame: Frame) -> RawQueries:
    stated = None if queries.distance is None else queries.distance * frame.scale
    return replace(queries, points=frame.to_unit(queries.points), distance=stated)


def _checked_normals(
    points: NDArray[np.float64],
    given: NDArray[np.float64] | None,
    tree: cKDTree,
    volume: RawQueries,
    near: RawQueries,
    cut: float | None,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Test the labels against the surface, and return the surface's normals, which are estimated if none are given.

    Returns:
        (N, 3) normals; and (Q,) booleans, which are False for near queries so close to the surface that rounding might
        move them to its other side.
    """
    spacing = evidence.spacing_of(points, tree)
    distance, nearest = tree.query(near.points, workers=1)
    evidence.check_near(distance)
    evidence.check_sides_present("near", near.inside)
    every, labels = np.concatenate([near.points, volume.points]), np.concatenate([near.inside, volume.inside])
    of_side = {side: cKDTree(every[labels == side]) for side in (True, False)}
    both = (("near", near), ("volume", volume))
    for kind, queries in both:
        evidence.check_tail(kind, queries.inside)
        evidence.check_beyond(kind, queries.points, queries.inside, points, spacing)
    for kind, queries in both:
        judged = _judged(queries.inside, random)
        chosen, inside = queries.points[judged], queries.inside[judged]
        gap = distance[judged] if kind == "near" else tree.query(chosen, workers=1)[0]
        opposite = np.empty(len(judged))
        for side in (True, False):
            opposite[inside == side] = of_side[not side].query(chosen[inside == side], workers=1)[0]
        evidence.check_crossings(kind, opposite, gap, spacing)
        if queries.distance is not None:
            evidence.check_distances(kind, queries.distance[judged], gap, spacing, cut)
    votes = outward_votes(points, near.points, near.inside, nearest)
    if given is not None:
        evidence.check_normals(given, votes)
    normals = estimate_normals(points, tree, votes) if given is None else given
    height = np.einsum("qc,qc->q", near.points - points[nearest], normals[nearest])
    return normals, np.abs(height) > ROUNDING


def _judged(inside: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices of random queries to test: at most `JUDGED` inside and at most `JUDGED` outside."""
    return np.concatenate(
        [random.permutation(np.flatnonzero(inside == side))[: evidence.JUDGED] for side in (True, False)]
    )


class _Domain:
    """The region in which the volume queries of a shape are uniform: the ball of radius sqrt(3), or a box.

    share: fraction of the ball's volume that lies in the region.
    """

    def __init__(self, box: NDArray[np.float64] | None, share: float) -> None:
        self._box, self.share = box, share

    @classmethod
    def of(cls, points: NDArray[np.float64], layout: Layout) -> "_Domain":
        """Return the domain of (V, 3) volume queries; in a `box` layout, it is their bounding box."""
        if layout.frame == "sphere":
            return cls(None, 1.0)
        box = np.stack([points.min(axis=0), points.max(axis=0)])
        in_ball = float((np.linalg.norm(points, axis=1) <= QUERY_BALL_RADIUS).mean())
        share = min(float(np.prod(box[1] - box[0])) * in_ball / QUERY_BALL_VOLUME, 1.0)
        covers = (box[0] <= -QUERY_BALL_RADIUS).all() and (box[1] >= QUERY_BALL_RADIUS).all()
        return cls(box, 1.0 if covers and share > LEAST_OF_WHOLE else share)

    def check(self, points: NDArray[np.float64], surface_points: NDArray[np.float64]) -> None:
        """Raise ValueError unless (V, 3) volume queries fill the domain evenly.

        If the domain is a box, it must also contain the surface, with a tolerance of 2% of the box's longest side.
        """
        if self._box is None:
            radius = np.linalg.norm(points, axis=1)
            if (beyond := float(radius.max())) > QUERY_BALL_RADIUS * (1 + BALL_TOLERANCE):
                raise ValueError(
                    f"a volume query has norm {beyond:.3f}, but all must lie in the ball of radius sqrt(3)."
                )
            evidence.check_evenness(points)
            middle = float(((radius / QUERY_BALL_RADIUS) ** 3).mean())
            if abs(middle - 0.5) > 0.02 + 3 / np.sqrt(12 * len(points)):
                raise ValueError(
                    "the volume queries are not uniform in the ball of radius sqrt(3): the mean of (norm / sqrt(3))^3 "
                    f"is {middle:.3f} instead of 0.5."
                )
            return
        low, high = self._box
        margin = 0.02 * (high - low).max()
        if (surface_points.min(axis=0) < low - margin).any() or (surface_points.max(axis=0) > high + margin).any():
            raise ValueError(
                f"the surface extends from {np.round(surface_points.min(axis=0), 3).tolist()} to "
                f"{np.round(surface_points.max(axis=0), 3).tolist()}, beyond the box of the volume queries, "
                f"{np.round(low, 3).tolist()} to {np.round(high, 3).tolist()}; they are in different frames."
            )
        evidence.check_evenness(points - (low + high) / 2)

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether (Q, 3) points lie in the domain, as (Q,) booleans."""
        if self._box is None:
            return np.ones(len(points), dtype=bool)
        inside: NDArray[np.bool_] = ((points >= self._box[0]) & (points <= self._box[1])).all(axis=1)
        return inside


def _volume_pools(
    volume: RawQueries, domain: _Domain, settings: ImportSettings, random: np.random.Generator
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], tuple[int, int]]:
    """Return the volume queries inside and those outside, as uniform draws from the ball of radius sqrt(3).

    If the volume queries fill only a box, outside queries are drawn in the rest of the ball. The rest lies beyond the
    surface's bounding box, so all points there are outside.

    Returns:
        The queries inside (N, 3) and outside (M, 3), and two numbers, n and m. Of n uniform draws from the ball, N
        lie inside, on average. Of m uniform draws from the ball, M lie outside, on average.
    """
    if domain.share < LEAST_SHARE:
        raise ValueError(
            f"the volume queries cover a fraction of {domain.share:.3g} of the ball of radius sqrt(3) around the shape "
            f"instead of at least {LEAST_SHARE:g}; they are flat, or they and the surface are in different frames."
        )
    in_ball = np.linalg.norm(volume.points, axis=1) <= QUERY_BALL_RADIUS
    points, inside = volume.points[in_ball], volume.inside[in_ball]
    every = round(len(points) / domain.share)
    drawn = min(settings.volume, every)
    order = random.permutation(len(points))[: round(drawn * domain.share)]
    within = inside[order]
    filled = [points[order[~within]]]
    wanted = drawn - len(order)
    for _ in range(MOST_ROUNDS):
        if wanted <= 0:
            break
        more = draw_in_ball(DRAWS_AT_ONCE, random)
        filled.append(more[~domain.contains(more)][:wanted])
        wanted -= len(filled[-1])
    if wanted > MOST_MISSING * drawn:
        raise ValueError(
            "the volume queries are not uniform in their bounding box: the box contains nearly the whole ball of "
            "radius sqrt(3), but too few queries lie in the ball. That many would be right if the box contained only "
            f"{100 * domain.share:.3g}% of the ball."
        )
    drawn -= max(wanted, 0)
    outside = random.permutation(np.concatenate(filled))
    kept, drawn_inside = order[within], drawn
    available = random.permutation(np.flatnonzero(inside))
    if len(kept) < min(settings.inside, len(available)):
        kept = available[: settings.inside]
        drawn_inside = round(every * len(kept) / len(available))
    return (points[kept], outside), (drawn_inside, drawn)


def _near_pools(
    near: RawQueries, sure: NDArray[np.bool_], settings: ImportSettings, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the near queries inside and those outside, in random order.

    Queries are left out if they lie too far out to be stored, or so close to the surface that rounding might move them
    to its other side (`sure` is False).
    """
    usable = np.flatnonzero(sure & (np.abs(near.points) <= SURFACE_LIMIT).all(axis=1))
    chosen = random.permutation(usable)[: settings.near]
    within = near.inside[chosen]
    return near.points[chosen[within]], near.points[chosen[~within]]
