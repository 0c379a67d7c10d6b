"""Components of a closed mesh: the largest alone, its share of the volume, and fewer faces (by libigl)."""

import numpy as np

from lagem.geometry.boundary import faced_outward, open_edges, parts_of, volumes_of
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber


def largest_part(mesh: Mesh) -> Mesh:
    """The connected part of a closed mesh that has the largest area."""
    parts = parts_of(mesh)
    areas = np.bincount(parts, weights=mesh.normals_and_areas()[1])
    return mesh.with_faces(parts == areas.argmax())


def with_fewer_faces(mesh: Mesh, faces: int) -> Mesh:
    """Collapse edges of a closed mesh, those that change it least first, until at most `faces` faces are left.

    No part vanishes, none is opened and no hole is filled, so where there are many of them, more faces may be left.

    Args:
        mesh: Closed, every edge between two faces, as `extract_surface` makes them; ValueError otherwise.
        faces: Number of faces to reach, at least 4, a tetrahedron's.
    """
    import igl

    if faces < 4:
        raise ValueError(f"a closed mesh has at least 4 faces, but {faces} were asked for.")
    if len(mesh.faces) <= faces:
        return mesh
    vertices, kept, _, _ = igl.qslim(mesh.vertices, mesh.faces.astype(np.int32), faces)
    if len(kept) == 0:
        raise ValueError("a mesh with an edge of more or fewer than two faces cannot be reduced; keep all its faces.")
    return Mesh(vertices, kept)


def dominant_share(mesh: Mesh) -> float:
    """Share of the enclosed volume that the largest connected solid has.

    A solid is a closed part that faces outward, less the hollows right inside it; a solid in a hollow is one of its
    own. Where solids overlap, the overlap counts in each.

    Args:
        mesh: In the unit-sphere frame, as `extract_surface` makes it.

    Returns:
        In [0, 1]; 0 for a mesh with open edges, which encloses nothing.
    """
    if len(mesh.faces) == 0 or open_edges(mesh):
        return 0.0
    mesh = faced_outward(mesh)
    part = parts_of(mesh)
    volumes = volumes_of(mesh, part)
    hollows = np.flatnonzero(volumes < 0)
    if len(hollows):
        first_faces = [int(np.argmax(part == hollow)) for hollow in hollows]
        places = mesh.vertices[mesh.faces[first_faces, 0]]
        owner, smallest = np.full(len(hollows), -1), np.full(len(hollows), np.inf)
        for solid in np.flatnonzero(volumes > 0):
            around = WindingNumber(mesh.with_faces(part == solid))(places) & (volumes[solid] < smallest)
            owner[around], smallest[around] = solid, volumes[solid]
        owned = owner >= 0
        np.add.at(volumes, owner[owned], volumes[hollows[owned]])
        volumes[hollows] = 0
    total = volumes.sum()
    return float(volumes.max() / total) if total > 0 else 0.0
