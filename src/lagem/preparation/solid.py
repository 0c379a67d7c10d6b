"""The solid of any mesh: bounded by its own surface if that encloses one, else by a converted, closed surface."""

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

MOST_BARE = 0.02  # fraction of a closed mesh's surface that may bound nothing; a mesh with more is converted
PROBED_POINTS = 2_000  # on a closed mesh, to test whether it bounds a solid
CHECKED_POINTS = 10_000  # on the input, to measure its distance to the result
MANIFOLD_RESOLUTION = 50_000  # as used by the authors


@dataclass(frozen=True)
class Solid:
    """A closed mesh, its occupancy, and how it was made.

    mesh: centred, in the unit sphere.
    frame: map between the source's coordinates and the unit sphere.
    route: `own` if it is the surface of the source, else the conversion.
    sheet_share: fraction of the converted mesh's vertices that thicken open sheets.
    error_mean, error_p99: distance from the source's exposed surface to the mesh, in unit-sphere units; 0 for `own`.
    left_out: fraction of the source's area in faces doubled back to back, which `own` omits.
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
    """The solid that a mesh represents; raises MeshError if there is none.

    Args:
        source: The mesh in its own coordinates.
        conversion: How a mesh that does not enclose a solid is closed: `flood` is ours, `manifold` the authors' tool
            (needs point-cloud-utils), `none` refuses it.
        resolution: Cells along a side of the flood's grid.
        thickness: Minimum thickness of open sheets (flood), in unit-sphere units.
        rng: Draws the points at which the solid is checked.
    """
    own = own_solid(source, rng)
    if isinstance(own, Solid):
        return own
    if conversion == "none":
        raise MeshError(f"{own}; conversion is switched off; choose one with --watertight.")
    frame = Frame.of(source.vertices)
    unit = source.in_frame(frame)
    if conversion == "flood":
        converted = make_watertight(unit, resolution=resolution, thickness=thickness)
    else:
        converted = _manifold(unit)
    error = surface_error(unit, converted.mesh, rng)
    again = Frame.of(converted.mesh.vertices)  # a thickened or inflated mesh extends slightly beyond the unit sphere
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
    """Distances from points on the exposed surface of one mesh (the whole surface if none is exposed) to another."""
    points, normals = sample_surface(source, CHECKED_POINTS, rng)
    seen = exposed(source, points, normals, rng)
    return DistanceTo(result)(points[seen] if seen.any() else points)


def own_solid(source: Mesh, rng: np.random.Generator) -> Solid | str:
    """The solid that the surface of a mesh encloses, or the reason why it encloses none.

    Args:
        source: The mesh in its own coordinates.
        rng: Draws the points at which it is checked.
    """
    single, times = without_doubles(source)
    if not times.any():
        return "each of its faces occurs once in each orientation, so it encloses nothing"
    bounding = enclosing = single.with_faces(times > 0)
    if count := open_edges(bounding):
        enclosing = Mesh(single.vertices, np.repeat(single.faces, times, axis=0))  # components may share a face
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
    """The module point_cloud_utils; raises ValueError with the way to install it if it is missing."""
    try:
        import point_cloud_utils
    except ImportError as error:
        raise ValueError(
            f"--watertight manifold needs point-cloud-utils ({error}); run `pip install 'lagem[manifold]'`."
        ) from error
    module: ModuleType = point_cloud_utils
    return module


def _manifold(mesh: Mesh) -> Watertight:
    """The authors' conversion (Manifold, Huang et al. 2018), which lies about 0.007 outside its input."""
    made = require_manifold().make_mesh_watertight(mesh.vertices, mesh.faces.astype(np.int32), MANIFOLD_RESOLUTION)
    result = Mesh(*made)
    return Watertight(mesh=result, inside=WindingNumber(result), sheet_share=0.0)
