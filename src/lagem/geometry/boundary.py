"""Which faces, and which points on them, bound a solid.

Real meshes have doubled faces, parts buried inside other parts, and parts that are inside out. A mesh without open
edges has an integer winding number everywhere, so its solid is known exactly. Only the faces across which occupancy
changes are its boundary.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lagem.geometry.files.errors import MeshError
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface

# V vertices, F faces, N points; lengths in unit-sphere units

PROBE = 1e-4  # distance from a surface point, in front and behind, at which occupancy is queried
ENCLOSED = 0.99  # a part with this fraction of its area inside other parts is nested in them, not overlapping them
DRAWN_AT_ONCE = 1 << 20
LEAST_KEPT = 0.01  # if a smaller fraction of the surface bounds a solid, the mesh counts as enclosing nothing


def without_doubles(mesh: Mesh) -> tuple[Mesh, NDArray[np.int64]]:
    """Merge all faces that have the same three corners into one.

    Returns:
        The mesh, in which each face has the orientation of most of the faces merged into it; and (F,) the number of
        faces with this orientation minus the number with the opposite one. A face with 0 is a sheet that encloses
        nothing.
    """
    corners = np.sort(mesh.faces, axis=1)
    start = mesh.faces.argmin(axis=1)
    second, third = (mesh.faces[np.arange(len(start)), (start + step) % 3] for step in (1, 2))
    _, first, which = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(corners):
        return mesh, np.ones(len(first), dtype=np.int64)
    turn = np.where(second < third, 1, -1)
    balance = np.bincount(which.reshape(-1), weights=turn).astype(np.int64)
    faces = mesh.faces[first]
    against = turn[first] * balance < 0
    faces[against] = faces[against, ::-1]
    order = np.argsort(first)
    return Mesh(mesh.vertices, faces[order]), np.abs(balance)[order]


def open_edges(mesh: Mesh) -> int:
    """Number of edges that faces do not traverse equally often in both directions; 0 for a union of closed parts.

    Parts may touch, so an edge may have four faces, two in each direction.
    """
    edge, way = _edges(mesh)
    return int(np.count_nonzero(np.bincount(edge, weights=way)))


def parts_of(mesh: Mesh) -> NDArray[np.int64]:
    """(F,) number of the closed part that each face of a mesh without open edges belongs to.

    Two faces are in the same part if they share an edge with no third face. Parts may touch at a vertex, or along an
    edge of more faces; a part that this rule would leave open is joined with the parts that close it.
    """
    edge, way = _edges(mesh)
    face = np.repeat(np.arange(len(mesh.faces)), 3)
    own = np.bincount(edge)[edge] == 2
    part = _connected(face, edge, own)
    parts = int(part.max()) + 1
    _, of_pair = np.unique(edge * parts + part[face], return_inverse=True)  # a number for each pair of edge and part
    closing = np.bincount(of_pair, weights=way)[of_pair] != 0
    return _connected(face, edge, own | closing) if closing.any() else part


def volumes_of(mesh: Mesh, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """(P,) volume that each part encloses, negative if its faces point inward; `part` is the result of `parts_of`."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return np.bincount(part, weights=(a * np.cross(b, c)).sum(axis=1) / 6).astype(np.float64)


def _edges(mesh: Mesh) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(3 F,) number of the edge at each side of each face, and 1 or -1 for the direction in which it is traversed."""
    sides = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, edge = np.unique(sides.min(axis=1) * len(mesh.vertices) + sides.max(axis=1), return_inverse=True)
    return edge, np.where(sides[:, 0] < sides[:, 1], 1, -1)


def _connected(face: NDArray[np.int64], edge: NDArray[np.int64], links: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(F,) number of the connected component of each face, in a graph of faces and edges linked by the chosen sides."""
    faces, edges = int(face.max()) + 1, int(edge.max()) + 1
    ones = np.ones(int(links.sum()), dtype=np.bool_)
    graph = coo_array((ones, (face[links], faces + edge[links])), shape=(faces + edges,) * 2)
    part: NDArray[np.int64] = np.unique(connected_components(graph, directed=False)[1][:faces], return_inverse=True)[1]
    return part


def faced_outward(mesh: Mesh) -> Mesh:
    """Turn the inside-out parts of a mesh without open edges.

    A part that lies wholly inside others and is oriented against them is a hollow, and faces inward in the result; all
    other parts face outward.
    """
    part = parts_of(mesh)
    volume = volumes_of(mesh, part)
    if (volume >= 0).all():
        return mesh
    normals, areas = mesh.normals_and_areas()
    side = np.where(volume < 0, -1, 1)
    beyond = mesh.vertices[mesh.faces].mean(axis=1) + PROBE * side[part, None] * normals  # just outside the face's part
    around = WindingNumber(mesh).values(beyond)
    area = np.bincount(part, weights=areas)
    enclosed = np.bincount(part, weights=areas * (np.abs(around) > 0.5)) >= ENCLOSED * area
    against = np.bincount(part, weights=areas * around) * side < 0
    outward = np.where(enclosed & against, -1, 1)
    turned = (outward != side)[part]
    faces = mesh.faces.copy()
    faces[turned] = faces[turned, ::-1]
    return Mesh(mesh.vertices, faces)


def bare_share(mesh: Mesh, inside: WindingNumber, count: int, rng: np.random.Generator) -> float:
    """Fraction of a surface that has outside on both sides, estimated from `count` points drawn on it."""
    points, normals = sample_surface(mesh, count, rng)
    return float((~inside(points + PROBE * normals) & ~inside(points - PROBE * normals)).mean())


def sample_boundary(
    mesh: Mesh, inside: WindingNumber, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Draw points uniformly on those regions of the surface across which occupancy changes.

    From the front of a face to its back, the winding number grows by one or more. So if it is 0 in front, the back is
    inside; if it is positive in front, the surface is buried; only if it is negative must the back be queried.

    Args:
        mesh: Without open edges, in the unit sphere.
        inside: Its occupancy.
        count: Number of points.
        rng: Source of every random number.

    Returns:
        points (count, 3) float64, their normals (count, 3) float64, which point out of the solid, and the fraction of
        the surface that was dropped.

    Raises:
        MeshError: If nearly all of the surface would be dropped.
    """
    points, normals, found, drawn = [], [], 0, 0
    while found < count:
        more = count - found if not drawn else int(1.05 * (count - found) * drawn / found) + 64
        where, normal = sample_surface(mesh, min(more, DRAWN_AT_ONCE), rng)
        front = inside.values(where + PROBE * normal)
        outward, inward = np.abs(front) <= 0.5, front < -0.5
        inward[inward] = ~inside(where[inward] - PROBE * normal[inward])
        keep = outward | inward
        points.append(where[keep])
        normals.append(np.where(inward[keep, None], -1, 1) * normal[keep])
        found, drawn = found + int(keep.sum()), drawn + len(where)
        if found < LEAST_KEPT * drawn:
            raise MeshError(f"of {drawn} points on its surface, {found} bound a solid; it encloses (almost) nothing.")
    return np.concatenate(points)[:count], np.concatenate(normals)[:count], 1 - found / drawn
