"""The solid that a mesh represents.

If the surface of the mesh encloses a solid, that solid is used. Otherwise, the mesh is first converted to a closed
surface.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lagem.geometry.boundary import bare_share, faced_outward, open_edges, without_doubles
from lagem.geometry.distance import DistanceTo, exposed
from lagem.geometry.files.errors import MeshError
from lagem.geometry.frame import Frame
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.geometry.sampling import sample_surface
from lagem.geometry.watertight import Watertight, make_watertight

Conversion = Literal["flood", "manifold", "none"]
CONVERSIONS: tuple[Conversion, ...] = get_args(Conversion)

MOST_BARE = 0.02  # if a larger fraction of a closed mesh's surface bounds nothing, the mesh is converted
PROBED_POINTS = 2_000  # number of points on a closed mesh at which this fraction is measured
CHECKED_POINTS = 10_000  # number of points on the source from which the distance to the converted mesh is measured
MANIFOLD_RESOLUTION = 50_000  # the value that the authors use


@dataclass(frozen=True)
class Solid:
    """A closed mesh, its occupancy, and how it was made.

    mesh: the mesh, centred in the unit sphere.
    inside: its occupancy.
    frame: maps the source's coordinates to the unit sphere and back.
    route: `own` if the mesh is the surface of the source, else the conversion that made it.
    sheet_share: fraction of the converted mesh's vertices that thicken open sheets.
    error_mean, error_p99: mean and 99th percentile of the distance to the mesh from that part of the source's surface
        that is visible from outside, in unit-sphere units; 0 for `own`.
    left_out: for `own`, the fraction of the source's area that was omitted because two faces lie back to back.
    """

    mesh: Mesh
    inside: WindingNumber
    frame: Frame
    route: Literal["own", "flood", "manifold"]
    sheet_share: float = 0.0
    error_mean: float = 0.0
    error_p99: float = 0.0
    left_out: float = 0.0


def solid_of(
    source: Mesh, *, conversion: Conversion, resolution: int, thickness: float, rng: np.random.Generator
) -> Solid:
    """Return the solid that a mesh represents.

    Args:
        source: The mesh, in its file's coordinates.
        conversion: How a mesh that does not enclose a solid is closed: `flood` is our method, `manifold` is the
            tool that LaGeM's authors use (it needs point-cloud-utils), and `none` refuses such a mesh.
        resolution: Number of cells along a side of the grid that `flood` uses.
        thickness: Minimum thickness that `flood` gives to open sheets, in unit-sphere units.
        rng: Draws the points at which the solid is checked.

    Raises:
        MeshError: If the mesh encloses no solid, and `conversion` is `none`.
    """
    own = own_solid(source, rng)
    if isinstance(own, Solid):
        return own
    if conversion == "none":
        raise MeshError(f"{own}; conversion is switched off; use --watertight flood or manifold.")
    frame = Frame.of(source.vertices)
    unit = source.in_frame(frame)
    if conversion == "flood":
        converted = make_watertight(unit, resolution=resolution, thickness=thickness)
    else:
        converted = _manifold(unit)
    error = surface_error(unit, converted.mesh, rng)
    again = Frame.of(converted.mesh.vertices)  # needed since the converted mesh extends slightly beyond the unit sphere
    return Solid(
        mesh=converted.mesh.in_frame(again),
        inside=converted.inside.within(again),
        frame=frame.then(again),
        route=conversion,
        sheet_share=converted.sheet_share,
        error_mean=float(error.mean()),
        error_p99=float(np.quantile(error, 0.99)),
    )


def surface_error(source: Mesh, result: Mesh, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw points on the surface of the mesh `source`, and return their distances to the mesh `result`.

    Only points that are visible from outside are used; if none is visible, all points are used.
    """
    points, normals = sample_surface(source, CHECKED_POINTS, rng)
    seen = exposed(source, points, normals, rng)
    return DistanceTo(result)(points[seen] if seen.any() else points)


def own_solid(source: Mesh, rng: np.random.Generator) -> Solid | str:
    """Return the solid that the surface of a mesh encloses, or a text that says why it encloses none.

    Args:
        source: The mesh, in its file's coordinates.
        rng: Draws the points at which the surface is checked.
    """
    single, times = without_doubles(source)
    if not times.any():
        return "each of its faces occurs equally often in both orientations, so it encloses nothing"
    bounding = enclosing = single.with_faces(times > 0)
    if count := open_edges(bounding):
        enclosing = Mesh(single.vertices, np.repeat(single.faces, times, axis=0))  # two components may share a face
        if open_edges(enclosing):
            return f"{count} of its edges are open or join faces of opposite orientation"
    frame = Frame.of(bounding.vertices)
    enclosing = faced_outward(enclosing.in_frame(frame))
    inside = WindingNumber(enclosing)
    whole = single.in_frame(frame)
    if (bare := bare_share(whole, inside, PROBED_POINTS, rng)) > MOST_BARE:
        return f"{bare:.0%} of its surface has no solid behind it"
    left_out = float(whole.normals_and_areas()[1][times == 0].sum() / whole.area)
    surface, times = without_doubles(enclosing)
    return Solid(mesh=surface.with_faces(times > 0), inside=inside, frame=frame, route="own", left_out=left_out)


def require_manifold() -> ModuleType:
    """Return the module point_cloud_utils; if it is missing, raise a ValueError that says how to install it."""
    try:
        import point_cloud_utils
    except ImportError as error:
        raise ValueError(
            f"--watertight manifold needs point-cloud-utils ({error}); run `pip install 'lagem[manifold]'`."
        ) from error
    module: ModuleType = point_cloud_utils
    return module


def _manifold(mesh: Mesh) -> Watertight:
    """Convert a mesh by Manifold (Huang et al. 2018), the tool that LaGeM's authors use.

    The resulting surface lies about 0.007 (in unit-sphere units) outside the mesh.
    """
    made = require_manifold().make_mesh_watertight(mesh.vertices, mesh.faces.astype(np.int32), MANIFOLD_RESOLUTION)
    result = Mesh(*made)
    return Watertight(mesh=result, inside=WindingNumber(result), sheet_share=0.0)
