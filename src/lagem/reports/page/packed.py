"""Meshes and clouds as a page stores them: reduced, rounded and written as base64 text.

In the sizes of arrays, N is the number of points of a cloud.
"""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lagem.geometry.frame import Frame, Up
from lagem.geometry.mesh import Mesh
from lagem.randomness import sample_generator
from lagem.reports.page.clustering import clustered

MOST_FACES = 10_000  # maximum number of faces of a mesh, and of points of a cloud
MOST_FACES_OF_PAGE = 500_000  # so the meshes of a page take at most 16 MB
FEWEST_FACES = 500
REACH = 1.25  # half the side of the cube of positions that can be stored, in radii of the unit sphere
STEPS = 2**16 - 1
NEIGHBOURS = 12

Cloud = NDArray[np.float64]


@dataclass(frozen=True)
class PackedShape:
    """A mesh or a point cloud as a page stores it: in the unit sphere, with y up.

    entries: Plain values that viewer.js reads.
    size: Text that says how many triangles or points are stored, such as "10,000 of 81,920 triangles".
    """

    entries: dict[str, object]
    size: str


def faces_of_each(count: int) -> int:
    """Return the maximum number of faces of each mesh on a page with `count` meshes."""
    return max(FEWEST_FACES, min(MOST_FACES, MOST_FACES_OF_PAGE // max(count, 1)))


def packed(shape: Mesh | Cloud, frame: Frame, *, most_faces: int, up: Up = "z") -> PackedShape:
    """Return a mesh or a cloud in the form in which a page stores it.

    Positions are rounded to multiples of 2.5 / 65535, in radii of the unit sphere. Points outside the cube
    [-1.25, 1.25]³ are moved to its sides.

    Args:
        shape: A mesh, or (N, 3) points.
        frame: The frame that moves the shape into the unit sphere.
        most_faces: Maximum number of faces of a mesh, or of points of a cloud.
        up: The axis that points up in a cloud. It is not used for a mesh, which stores its up axis.
    """
    if not isinstance(shape, Mesh):
        return _packed_cloud(shape, frame, most_faces, up)
    mesh = clustered(shape.in_frame(frame).turned("y"), most_faces)
    wide = len(mesh.vertices) > STEPS
    entries = _packed_points(mesh.vertices) | {
        "faces": _text(mesh.faces.astype("<u4" if wide else "<u2")),
        "wide": wide,
    }
    reduced = f" of {len(shape.faces):,}" if len(mesh.faces) < len(shape.faces) else ""
    return PackedShape(entries, f"{len(mesh.faces):,}{reduced} triangles")


def _packed_cloud(points: Cloud, frame: Frame, most: int, up: Up) -> PackedShape:
    kept = points
    if len(points) > most:
        kept = points[np.sort(sample_generator(0, 0, "points on a page").permutation(len(points))[:most])]
    turned = Mesh(frame.to_unit(kept), np.empty((0, 3), dtype=np.int64), up=up).turned("y").vertices
    normals, radius = _normals_and_radius(turned)
    entries = _packed_points(turned) | {"normals": _text(np.rint(127 * normals).astype("i1")), "radius": radius}
    reduced = f" of {len(points):,}" if len(kept) < len(points) else ""
    return PackedShape(entries, f"{len(kept):,}{reduced} points")


def _packed_points(points: NDArray[np.float64]) -> dict[str, object]:
    steps = np.rint((np.clip(points, -REACH, REACH) + REACH) * (STEPS / (2 * REACH))).astype("<u2")
    return {"points": _text(steps), "step": 2 * REACH / STEPS, "reach": REACH}


def _normals_and_radius(points: Cloud) -> tuple[NDArray[np.float64], float]:
    """Return normals for (N, 3) points, and half the side of the square by which the page draws each point.

    The (N, 3) normals are those of planes fitted to the neighbours of each point. The sign of a normal is arbitrary.
    """
    count = min(NEIGHBOURS, len(points))
    distances, neighbours = cKDTree(points).query(points, k=[*range(1, count + 1)])
    offsets = points[neighbours] - points[neighbours].mean(axis=1, keepdims=True)
    _, directions = np.linalg.eigh(np.einsum("nki,nkj->nij", offsets, offsets))
    spacing = float(np.median(distances[:, min(4, count - 1)]))
    return directions[:, :, 0], round(min(max(0.9 * spacing, 0.002), 0.05), 6)


def _text(array: NDArray[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
