"""Prepares one mesh: draws points on its surface and query points, and separates the query points by label.

As in appendix A of LaGeM, points are drawn on the surface, volume queries are uniform in the ball of radius sqrt(3),
and near queries are surface points jittered by N(0, sigma²) for two sigmas. The winding number at the stored position
of a query decides its label. Each array is in random order, so any contiguous window of it is a fair sample.
"""

from pathlib import Path

from lagem.geometry.boundary import sample_boundary
from lagem.geometry.files.errors import MeshError
from lagem.geometry.files.loading import load_mesh
from lagem.preparation.queries import near_queries, volume_queries
from lagem.preparation.settings import Settings
from lagem.preparation.solid import solid_of
from lagem.prepared.quantisation import encode
from lagem.prepared.records import Measures
from lagem.prepared.shard_file import ShapeArrays
from lagem.randomness import sample_generator


def prepare_shape(
    path: str | Path, id: str, category: str, split: str, settings: Settings
) -> tuple[ShapeArrays, Measures]:
    """Sample and label one mesh file.

    Returns:
        The arrays of the shape, and its measurements.

    Raises:
        MeshError: If the mesh cannot be used; the message is the reason.
    """
    source = load_mesh(path, up=settings.up or "z")
    if settings.up is not None:
        source = source.turned(settings.up)
    random = sample_generator(settings.seed, 0, id)
    solid = solid_of(
        source,
        conversion=settings.watertight,
        resolution=settings.resolution,
        thickness=settings.thickness,
        rng=random,
    )
    points, normals, dropped = sample_boundary(solid.mesh, solid.inside, settings.surface, random)
    volume_inside, volume_outside, drawn_inside = volume_queries(solid, settings, random)
    near_inside, near_outside = near_queries(solid, points, settings, random)
    if len(volume_inside) + len(near_inside) == 0:
        raise MeshError("no query point is inside; the mesh encloses (almost) nothing: repair it or leave it out.")
    shape = ShapeArrays(
        id=id,
        category=category,
        split=split,
        frame=solid.frame,
        faces=len(source.faces),
        volume_drawn_inside=drawn_inside,
        volume_drawn_outside=settings.volume,
        near_sigmas=settings.near_sigmas,
        pools={
            "surface_points": encode("surface_points", points),
            "surface_normals": encode("surface_normals", normals),
            "volume_inside": volume_inside,
            "volume_outside": volume_outside,
            "near_inside": near_inside,
            "near_outside": near_outside,
        },
    )
    measures = Measures(
        route=solid.route,
        faces=len(source.faces),
        solid_faces=len(solid.mesh.faces),
        area=solid.mesh.area * (1 - dropped),
        inside_share=len(volume_inside) / drawn_inside,
        volume_inside=len(volume_inside),
        near_inside=len(near_inside),
        error_mean=solid.error_mean,
        error_p99=solid.error_p99,
        sheet_share=solid.sheet_share,
        dropped_share=1 - (1 - solid.left_out) * (1 - dropped),
    )
    return shape, measures
