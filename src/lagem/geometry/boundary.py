"""The boundary of a solid: which faces of a mesh, and which points on them, bound it.

Real meshes have doubled faces, parts buried inside other parts, and parts that are inside out. For a mesh without open
edges, the winding number is an integer everywhere, so the solid that the mesh encloses is known exactly. The boundary
of this solid consists only of the faces across which occupancy changes.
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

PROBE = 1e-4  # occupancy is queried at this distance in front of and behind a surface point
ENCLOSED = 0.99  # a part counts as wholly inside other parts if at least this fraction of its area is inside them
DRAWN_AT_ONCE = 1 << 20
LEAST_KEPT = 0.01  # if a smaller fraction of the surface bounds a solid, the mesh counts as enclosing nothing


def without_doubles(mesh: Mesh) -> tuple[Mesh, NDArray[np.int64]]:
    """Merge faces that have the same three corners, so that no two faces have the same corners.

    Returns:
        The mesh, and the (F,) int64 majority of each of its faces. A face has the orientation that most of the faces
        merged into it have. Its majority is the number of merged faces with this orientation, minus the number of those
        with the opposite one. A face with majority 0 is a sheet that encloses nothing.
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
    """Count the open edges of a mesh: those that its faces traverse more often in one direction than in the other.

    A union of closed parts has no open edge. Closed parts may touch, so an edge may have four faces, of which two
    traverse it in each direction.
    """
    edge, way = _edges(mesh)
    return int(np.count_nonzero(np.bincount(edge, weights=way)))


def parts_of(mesh: Mesh) -> NDArray[np.int64]:
    """Divide the faces of a mesh without open edges into closed parts.

    Two faces belong to the same part if they share an edge that no third face has. Parts may touch at a vertex, or
    along an edge of more than two faces. A part that this rule would leave open is joined with the parts that close it.

    Returns:
        (F,) number of each face's part, from 0.
    """
    edge, way = _edges(mesh)
    face = np.repeat(np.arange(len(mesh.faces)), 3)
    own = np.bincount(edge)[edge] == 2
    part = _connected(face, edge, own)
    parts = int(part.max()) + 1
    _, of_pair = np.unique(edge * parts + part[face], return_inverse=True)  # index of each pair (edge, part)
    closing = np.bincount(of_pair, weights=way)[of_pair] != 0
    return _connected(face, edge, own | closing) if closing.any() else part


def volumes_of(mesh: Mesh, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the (P,) volumes that the parts of a mesh enclose; a volume is negative if the part's faces point inward.

    Args:
        mesh: The mesh.
        part: (F,) number of each face's part, as `parts_of` returns it.
    """
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return np.bincount(part, weights=(a * np.cross(b, c)).sum(axis=1) / 6).astype(np.float64)


def _edges(mesh: Mesh) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the edges of a mesh.

    Returns:
        Two (3 F,) arrays, with one entry for each of the three sides of each face: the number of the edge at this side,
        and 1 or -1 for the direction in which the face traverses the edge.
    """
    sides = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, edge = np.unique(sides.min(axis=1) * len(mesh.vertices) + sides.max(axis=1), return_inverse=True)
    return edge, np.where(sides[:, 0] < sides[:, 1], 1, -1)


def _connected(face: NDArray[np.int64], edge: NDArray[np.int64], links: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the connected components of a graph whose nodes are the faces and the edges of a mesh.

    Args:
        face: (3 F,) number of the face that each side belongs to.
        edge: (3 F,) number of the edge at each side.
        links: (3 F,) bool, True if the side links its face and its edge in the graph.

    Returns:
        (F,) number of each face's component.
    """
    faces, edges = int(face.max()) + 1, int(edge.max()) + 1
    ones = np.ones(int(links.sum()), dtype=np.bool_)
    graph = coo_array((ones, (face[links], faces + edge[links])), shape=(faces + edges,) * 2)
    part: NDArray[np.int64] = np.unique(connected_components(graph, directed=False)[1][:faces], return_inverse=True)[1]
    return part


def faced_outward(mesh: Mesh) -> Mesh:
    """Reorient the parts of a mesh that has no open edges, and return it: hollows face inward, other parts outward.

    A part is a hollow if it lies wholly inside other parts and its orientation is opposite to theirs.
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
    """Estimate the fraction of a surface that has no solid on either side, from `count` random points on it."""
    points, normals = sample_surface(mesh, count, rng)
    return float((~inside(points + PROBE * normals) & ~inside(points - PROBE * normals)).mean())


def sample_boundary(
    mesh: Mesh, inside: WindingNumber, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Draw points uniformly on those regions of a surface across which occupancy changes.

    From the front of a face to its back, the winding number grows by one or more. If the winding number is 0 in front,
    the back is inside. If it is positive in front, both sides are inside. If it is negative in front, the winding
    number at the back decides.

    Args:
        mesh: A mesh without open edges, in the unit sphere.
        inside: The occupancy of the mesh.
        count: Number of points.
        rng: Source of all random numbers.

    Returns:
        The points (count, 3) float64; their normals (count, 3) float64, which point out of the solid; and the fraction
        of the surface that was dropped. A region is dropped if both of the region's sides are inside or both outside.

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
            raise MeshError(
                f"of {drawn} points on its surface, only {found} lie on the boundary of a solid, so the mesh encloses "
                "(almost) nothing; repair it or leave it out."
            )
    return np.concatenate(points)[:count], np.concatenate(normals)[:count], 1 - found / drawn
