"""Operations on closed meshes: the largest component, its fraction of the volume, and a mesh with fewer faces."""

import numpy as np

from lagem.geometry.boundary import faced_outward, open_edges, parts_of, volumes_of
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber


def largest_part(mesh: Mesh) -> Mesh:
    """Return the largest connected part of a closed mesh, by area."""
    parts = parts_of(mesh)
    areas = np.bincount(parts, weights=mesh.normals_and_areas()[1])
    return mesh.with_faces(parts == areas.argmax())


def with_fewer_faces(mesh: Mesh, faces: int) -> Mesh:
    """Reduce a closed mesh to `faces` faces or fewer, by collapsing the edges that change its shape least.

    No part vanishes or is opened, and no tunnel is closed. So a mesh with many parts or tunnels may keep more than
    `faces` faces.

    Args:
        mesh: A closed mesh with two faces at every edge, as `extract_surface` makes it.
        faces: Number of faces to reach; at least 4, as in a tetrahedron.

    Raises:
        ValueError: If `faces` is less than 4, or if a mesh that must be reduced has an edge with more or fewer than two
            faces.
    """
    import igl

    if faces < 4:
        raise ValueError(f"a closed mesh has at least 4 faces, but {faces} were requested.")
    if len(mesh.faces) <= faces:
        return mesh
    vertices, kept, _, _ = igl.qslim(mesh.vertices, mesh.faces.astype(np.int32), faces)
    if len(kept) == 0:
        raise ValueError(
            "cannot reduce the number of faces of a mesh that has an edge with more or fewer than two faces; "
            "leave out `faces` to keep them all."
        )
    return Mesh(vertices, kept, up=mesh.up)


def reduced(mesh: Mesh, *, only_largest: bool, faces: int | None) -> Mesh:
    """Return the largest part of a closed mesh if `only_largest`, reduced to `faces` faces unless that is None."""
    if only_largest:
        mesh = largest_part(mesh)
    return mesh if faces is None else with_fewer_faces(mesh, faces)


def dominant_share(mesh: Mesh) -> float:
    """Return the fraction of the enclosed volume that belongs to the largest connected solid.

    A solid is a closed part that faces outward, minus the hollows directly inside it. A solid inside a hollow counts as
    a separate solid. If solids overlap, the overlap counts in each of them.

    Args:
        mesh: A mesh in the unit-sphere frame, as `extract_surface` returns it.

    Returns:
        The fraction, from 0 to 1; 0 for a mesh with open edges, which encloses nothing.
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
