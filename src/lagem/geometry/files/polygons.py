"""Polygons as mesh files store them, and their division into triangles.

Letters: V vertices, F faces with any number of corners, K corners of all faces together, T triangles, n corners of one
face, P polygons with the same number of corners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Limit on the sum of n (n + 100) over the non-convex faces. One face of 3,400 corners reaches it; it takes up to 20 s.
MOST_WORK = 12_000_000
CORNERS_AT_ONCE = 2**20  # number of corners of the faces that are cut at once; it bounds the memory
# A larger convex face is cut as `halved` does. Thousands of thin triangles with a corner in common would all be
# close to each other, so every search for the nearest one would take long.
LARGEST_FAN = 1_000
ROUNDING = 1e-9  # areas and turns below this fraction of a polygon's squared size count as zero


@dataclass(frozen=True)
class Polygons:
    """The surface that a file holds.

    vertices: (V, 3) float64.
    corners: (K,) int64, vertex indices of all faces, one face after the other.
    sizes: (F,) int64, number of corners of each face.
    """

    vertices: NDArray[np.float64]
    corners: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of_triangles(cls, vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> "Polygons":
        """Return the polygons that are given by (V, 3) vertices and (T, 3) triangles."""
        return cls(vertices, faces.reshape(-1), np.full(len(faces), 3, dtype=np.int64))

    def check(self) -> None:
        """Raise ValueError if a face uses a missing vertex or has fewer than 3 corners, or a vertex is not finite."""
        if len(self.corners) and not 0 <= self.corners.min() <= self.corners.max() < len(self.vertices):
            raise ValueError(
                f"its faces use vertices {self.corners.min()} to {self.corners.max()}, counted from 0, but it has only "
                f"{len(self.vertices)} vertices; repair the file's indices."
            )
        if bad := int((~np.isfinite(self.vertices)).any(axis=1).sum()):
            raise ValueError(
                f"{bad} of {len(self.vertices)} vertices are not finite, so the shape has no frame. "
                "Repair the file, or drop those vertices before preparing it."
            )
        if len(self.sizes) and self.sizes.min() < 3:
            face = int(np.argmax(self.sizes < 3))
            raise ValueError(
                f"face {face} (counted from 0) has {self.sizes[face]} corners, but a face needs at least 3; "
                "repair or remove it."
            )

    def triangles(self) -> NDArray[np.int64]:
        """Cut the faces into (T, 3) triangles, in the order of the faces; a face of n corners gives n - 2 triangles.

        A convex face is cut into a fan from its first corner; a large one is cut as `halved` does. Any other face is
        cut by ear clipping, in the plane that is perpendicular to its area vector, so the triangles of a planar face
        stay inside the face.

        Raises:
            ValueError: If a face crosses itself, or the faces that are not convex are too large or too many.
        """
        if (self.sizes == 3).all():
            return self.corners.reshape(-1, 3)
        starts = np.cumsum(self.sizes) - self.sizes
        first_triangle = np.cumsum(self.sizes - 2) - (self.sizes - 2)
        made = np.empty((int((self.sizes - 2).sum()), 3), dtype=np.int64)
        work = 0
        for size in np.unique(self.sizes).tolist():
            rounds = np.arange(size - 2)
            local = fan(size) if size <= LARGEST_FAN else halved(size)
            of_size = np.flatnonzero(self.sizes == size)
            for chosen in np.array_split(of_size, len(of_size) * size // CORNERS_AT_ONCE + 1):
                corners = self.corners[starts[chosen][:, None] + np.arange(size)]
                rows = first_triangle[chosen][:, None] + rounds
                made[rows] = corners[:, local]
                if size == 3:
                    continue
                wrong = np.flatnonzero(~_fans_fit(self.vertices[corners]))
                if size == 4:  # cut along the other diagonal, unless it crosses itself
                    turned = np.roll(corners[wrong], -1, axis=1)
                    made[rows[wrong]] = turned[:, local]
                    wrong = wrong[~_fans_cover_once(self.vertices[turned])]
                work += len(wrong) * size * (size + 100)
                if work > MOST_WORK:
                    raise ValueError(
                        f"face {chosen[wrong[0]]} (counted from 0) has {size} corners and is not convex, and the "
                        "faces that are not convex are too large or too many to be cut into triangles; triangulate "
                        "them in the program that made the mesh."
                    )
                for number in wrong.tolist():
                    made[rows[number]] = corners[number][self._clipped(corners[number], int(chosen[number]))]
        return made

    def _clipped(self, corners: NDArray[np.int64], face: int) -> NDArray[np.int64]:
        outline = self.vertices[corners]
        local = None if (flat := _flattened(outline)) is None else clip_ears(flat)
        if local is None:
            raise ValueError(
                f"face {face} (counted from 0), of {len(corners)} corners, crosses itself, so it has no inside; "
                "triangulate the face in the program that made the mesh."
            )
        return local


def fan(n: int) -> NDArray[np.int64]:
    """Return the (n - 2, 3) triangles of a fan: each joins corner 0 of n corners with two consecutive others."""
    rounds = np.arange(n - 2)
    return np.stack([np.zeros_like(rounds), rounds + 1, rounds + 2], axis=1)


def halved(n: int) -> NDArray[np.int64]:
    """Return the (n - 2, 3) triangles into which a convex polygon of n corners is cut.

    Every other corner is cut off, and this is repeated with the corners that remain.
    """
    ring, triangles = np.arange(n), []
    while len(ring) > 2:
        first = ring[: 2 * (len(ring) // 2) : 2] if len(ring) > 3 else ring[:1]
        cut, after = ring[1 : 2 * len(first) : 2], np.roll(ring, -2)[: 2 * len(first) : 2]
        triangles.append(np.stack([first, cut, after], axis=1))
        ring = ring[::2] if len(ring) > 3 else ring[:0]
    return np.concatenate(triangles)


def strips_to_triangles(indices: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (T, 3) triangles of triangle strips; each is oriented like the first triangle of its strip.

    Args:
        indices: (K,) vertex indices of all lists of a file, one list after the other. A list holds one strip, or
            several strips with -1 between them.
        sizes: For each list, the number of its entries in `indices`.
    """
    restart = indices == -1
    strip = (np.repeat(np.arange(len(sizes)), sizes) + np.cumsum(restart))[~restart]  # a number for each vertex's strip
    kept = indices[~restart]
    odd = (np.arange(len(kept)) - np.searchsorted(strip, strip)) % 2 == 1
    triangles = np.stack([kept[:-2], kept[1:-1], kept[2:]], axis=1) if len(kept) > 2 else np.zeros((0, 3), np.int64)
    triangles[odd[:-2]] = triangles[odd[:-2]][:, [1, 0, 2]]
    return triangles[strip[:-2] == strip[2:]]


def clip_ears(outline: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Triangulate one simple polygon by clipping ears (Meisters 1975).

    Args:
        outline: (n, 2) corners, counter-clockwise.

    Returns:
        (n - 2, 3) int64 triangles of corner indices, counter-clockwise; None if the outline crosses itself.
    """
    n = len(outline)
    tolerance = ROUNDING * float(np.ptp(outline, axis=0).max()) ** 2
    if _crosses_itself(outline, tolerance):
        return None
    left = list(range(n))
    triangles = []
    at = 0
    while len(left) > 3:
        ring = outline[left]
        turns = _cross(ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring)
        # only corners at which the outline turns right or not at all can lie in an ear
        reflex = np.flatnonzero(turns <= tolerance)
        order = np.r_[at : len(left), 0:at]
        ear = next((k for k in order if turns[k] > tolerance and _is_ear(ring, k, reflex, tolerance)), None)
        if ear is None:  # either only flat corners remain, or the outline crosses itself
            ear = int(np.argmin(np.abs(turns)))
            if abs(turns[ear]) > tolerance:
                return None
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
        at = ear % len(left)
    triangles.append((left[0], left[1], left[2]))
    return np.array(triangles, dtype=np.int64)


def _crosses_itself(outline: NDArray[np.float64], tolerance: float) -> bool:
    """Return whether two edges without a common corner cross at a point in the interior of both."""
    starts, ends = outline, np.roll(outline, -1, axis=0)
    for k in range(len(outline) - 2):
        others = slice(k + 2, len(outline) - (k == 0))
        p, q, a, b = starts[k], ends[k], starts[others], ends[others]
        sides = _cross(q - p, a - p), _cross(q - p, b - p), _cross(b - a, p - a), _cross(b - a, q - a)
        apart = np.abs(sides).min(axis=0) > tolerance
        if (apart & (sides[0] * sides[1] < 0) & (sides[2] * sides[3] < 0)).any():
            return True
    return False


def _is_ear(ring: NDArray[np.float64], k: int, reflex: NDArray[np.intp], tolerance: float) -> bool:
    before, after = (k - 1) % len(ring), (k + 1) % len(ring)
    others = ring[reflex[(reflex != before) & (reflex != after)]]
    a, b, c = ring[before], ring[k], ring[after]
    others = others[~(np.isin(others, (a, b, c)).all(axis=1) & _is_one_of(others, (a, b, c)))]
    inside = np.ones(len(others), dtype=np.bool_)
    for p, q in ((a, b), (b, c), (c, a)):
        inside &= _cross(q - p, others - p) >= -tolerance
    return not inside.any()


def _is_one_of(points: NDArray[np.float64], corners: tuple[NDArray[np.float64], ...]) -> NDArray[np.bool_]:
    return np.any([(points == corner).all(axis=1) for corner in corners], axis=0)


def _fans_fit(polygons: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Decide which of (P, n, 3) polygons can be cut into a fan of triangles from the first corner.

    This is the case if the fan covers the polygon once, seen along the area vector, or if the polygon has no area.

    Returns:
        (P,) bool.
    """
    fan = np.cross(polygons[:, 1:-1] - polygons[:, :1], polygons[:, 2:] - polygons[:, :1])  # (P, n - 2, 3)
    total = fan.sum(axis=1)
    length = np.linalg.norm(total, axis=1)
    normal = total / np.where(length > 0, length, 1)[:, None]
    edges = np.roll(polygons, -1, axis=1) - polygons
    turns = (np.cross(np.roll(edges, 1, axis=1), edges) * normal[:, None]).sum(axis=2)  # (P, n)
    size = np.ptp(polygons, axis=1).max(axis=1) ** 2
    # A polygon is convex if it turns left at each corner and winds only once. A star turns left, but winds twice.
    convex = (turns >= -ROUNDING * size[:, None]).all(axis=1)
    flat = np.linalg.norm(fan, axis=2).max(axis=1) <= ROUNDING * size
    return ((convex | (polygons.shape[1] == 4)) & _fans_cover_once(polygons)) | flat


def _fans_cover_once(polygons: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each of the polygons (P, n, 3), decide whether all triangles of its fan face the same way.

    Returns:
        (P,) bool, True if the polygon's area is not zero, and no triangle of the fan faces against the polygon's area
        vector. The fan starts at the first corner.
    """
    fan = np.cross(polygons[:, 1:-1] - polygons[:, :1], polygons[:, 2:] - polygons[:, :1])
    total = fan.sum(axis=1)
    length = np.linalg.norm(total, axis=1)
    normal = total / np.where(length > 0, length, 1)[:, None]
    size = np.ptp(polygons, axis=1).max(axis=1) ** 2
    return (length > ROUNDING * size) & ((fan * normal[:, None]).sum(axis=2).min(axis=1) >= -ROUNDING * size)


def _flattened(corners: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Project (n, 3) corners along their area vector.

    Returns:
        (n, 2) corners, counter-clockwise, in units of the polygon's size; None if the area is zero.
    """
    corners = corners - corners.mean(axis=0)
    corners = corners / (np.abs(corners).max() or 1.0)
    normal = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    if (length := float(np.linalg.norm(normal))) <= ROUNDING:
        return None
    normal = normal / length
    first = np.eye(3)[np.abs(normal).argmin()]
    first = first - normal * (first @ normal)
    first = first / np.linalg.norm(first)
    return corners @ np.stack([first, np.cross(normal, first)], axis=1)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
