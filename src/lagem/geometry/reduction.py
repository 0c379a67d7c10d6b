"""Less of a closed mesh: its largest part alone, or fewer faces (Garland & Heckbert 1997, by libigl)."""

import numpy as np

from lagem.geometry.boundary import parts_of
from lagem.geometry.mesh import Mesh


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
