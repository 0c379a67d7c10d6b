"""Labels are tested before they are imported: damaged ones are refused with what was measured, and sound ones pass."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lagem.geometry.frame import QUERY_BALL_RADIUS
from lagem.geometry.mesh import Mesh
from lagem.geometry.occupancy import WindingNumber
from lagem.importing import shape
from lagem.importing.layout import LAGEM, VECSET, Layout
from lagem.importing.raw_shape import RawQueries, RawShape
from lagem.importing.settings import ImportSettings
from lagem.importing.shape import convert_shape
from lagem.prepared.quantisation import decode
from lagem.prepared.shard_file import ShapeArrays
from lagem.sources.mesh_files import MeshSource
from releases import Points, toy_meshes

NAMES = list(toy_meshes())
ASIDE = np.array([0.1, 0, 0])
ENTRY = MeshSource(path="x.npz", id="x", category="things", split="train")


def convert(points: Points, layout: Layout, *, normals: bool = False) -> ShapeArrays:
    is_distance = layout.sign != "occupancy"
    volume, near = (
        RawQueries(queries, sdf < 0, np.abs(sdf) if is_distance else None)
        for queries, sdf in ((points.volume, points.volume_sdf), (points.near, points.near_sdf))
    )
    raw = RawShape(points.surface, points.normals if normals else None, volume, near, points.frame)
    settings = ImportSettings(surface=4000, volume=8000, near=6000, inside=500)
    return convert_shape(ENTRY, raw, layout, settings)[0]


def flipped(points: Points) -> Points:
    return replace(points, volume_sdf=-points.volume_sdf, near_sdf=-points.near_sdf)


def flipped_near(points: Points) -> Points:
    return replace(points, near_sdf=-points.near_sdf)


def shifted_rows(points: Points) -> Points:
    return replace(points, volume_sdf=np.roll(points.volume_sdf, 1), near_sdf=np.roll(points.near_sdf, 1))


def shifted_queries(points: Points) -> Points:
    return replace(points, volume=points.volume + ASIDE, near=points.near + ASIDE)


def scaled_queries(points: Points) -> Points:
    return replace(points, volume=points.volume * 1.15, near=points.near * 1.15)


def truncated(points: Points) -> Points:
    """Return points whose second half of labels was never written: these labels are 0, which means outside."""
    volume_sdf, near_sdf = points.volume_sdf.copy(), points.near_sdf.copy()
    volume_sdf[len(volume_sdf) // 2 :] = near_sdf[len(near_sdf) // 2 :] = 0
    return replace(points, volume_sdf=volume_sdf, near_sdf=near_sdf)


def turned(points: Points) -> Points:
    """Return points whose queries are y-up while their surface is z-up."""
    return replace(points, volume=points.volume[:, [0, 2, 1]], near=points.near[:, [0, 2, 1]])


def all_outside(points: Points) -> Points:
    return replace(points, volume_sdf=np.abs(points.volume_sdf), near_sdf=np.abs(points.near_sdf))


def scaled_distances(points: Points) -> Points:
    return replace(points, volume_sdf=points.volume_sdf * 0.8, near_sdf=points.near_sdf * 0.8)


def cut_distances(points: Points) -> Points:
    return replace(
        points, volume_sdf=np.clip(points.volume_sdf, -0.02, 0.02), near_sdf=np.clip(points.near_sdf, -0.02, 0.02)
    )


DAMAGES = [flipped, flipped_near, shifted_rows, shifted_queries, scaled_queries, truncated, turned, all_outside]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_occupancies_are_refused_with_a_measurement(
    damage: Callable[[Points], Points], name: str, boxes: dict[str, Points]
):
    with pytest.raises(ValueError, match=r"\d"):
        convert(damage(boxes[name]), VECSET)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [*DAMAGES, scaled_distances, cut_distances], ids=lambda damage: damage.__name__)
def test_damaged_distances_are_refused_with_a_measurement(
    damage: Callable[[Points], Points], name: str, spheres: dict[str, Points]
):
    with pytest.raises(ValueError, match=r"\d"):
        convert(damage(spheres[name]), LAGEM)


def test_volume_queries_that_miss_the_ball_are_refused(boxes: dict[str, Points]):
    points = boxes["ring"]
    far = replace(points, volume=1000 * points.volume, volume_sdf=np.full(len(points.volume), 1000.0))
    with pytest.raises(ValueError, match="the volume queries cover a fraction of 0 of the ball"):
        convert(far, VECSET)


def in_cube(points: Points, half: float, *, within: float, seed: int = 0) -> Points:
    """Return points with new volume queries, which are uniform in a cube with sides of 2 * `half`.

    Of the queries in the query ball, only the fraction `within` is kept.
    """
    rng = np.random.default_rng(seed)
    queries = rng.uniform(-half, half, (40_000, 3))
    queries = queries[(np.linalg.norm(queries, axis=1) > QUERY_BALL_RADIUS) | (rng.random(len(queries)) < within)]
    ring = toy_meshes()["ring"]
    inside = WindingNumber(Mesh(points.frame.to_unit(ring.vertices), ring.faces))
    return replace(points, volume=queries, volume_sdf=np.where(inside(queries), -1.0, 1.0))


@pytest.mark.parametrize("seed", range(4))  # some seeds give more queries in the ball than expected, some fewer
def test_queries_in_a_box_around_the_whole_ball_are_accepted(seed: int, spheres: dict[str, Points]):
    assert convert(in_cube(spheres["ring"], 2.0, within=1, seed=seed), VECSET).volume_drawn_outside == 8000


def test_queries_that_leave_a_box_around_the_ball_empty_are_refused(
    spheres: dict[str, Points], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shape, "MOST_ROUNDS", 10)  # each fails: hardly any part of the ball is outside of the box
    with pytest.raises(ValueError, match="the volume queries are not uniform in their bounding box"):
        convert(in_cube(spheres["ring"], 0.999 * QUERY_BALL_RADIUS, within=0.3), VECSET)


@pytest.mark.parametrize("name", NAMES)
def test_honest_occupancies_are_accepted(name: str, boxes: dict[str, Points]):
    convert(boxes[name], VECSET)


@pytest.mark.parametrize("name", NAMES)
def test_honest_distances_are_accepted(name: str, spheres: dict[str, Points]):
    convert(spheres[name], LAGEM)


def test_a_stated_truncation_is_accepted(spheres: dict[str, Points]):
    convert(cut_distances(spheres["ring"]), replace(LAGEM, truncation=0.02))


def test_inverted_normals_are_refused(spheres: dict[str, Points]):
    ring = spheres["ring"]
    with pytest.raises(ValueError, match="flipped"):
        convert(replace(ring, normals=-ring.normals), LAGEM, normals=True)


@pytest.mark.parametrize("name", NAMES)
def test_estimated_normals_are_those_of_the_mesh(name: str, boxes: dict[str, Points]):
    points = boxes[name]
    estimated, given = (convert(points, VECSET, normals=normals) for normals in (False, True))
    both = (decode("surface_normals", shape.pools["surface_normals"]) for shape in (estimated, given))
    cosine = np.einsum("nc,nc->n", *both)
    assert (cosine > 0.9).mean() > 0.8  # neighbours across an edge blur the normals there
    assert (cosine > 0).mean() > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_box_becomes_the_unit_sphere_and_the_frame_leads_back(name: str, boxes: dict[str, Points]):
    points, shape = boxes[name], convert(boxes[name], VECSET)
    surface = decode("surface_points", shape.pools["surface_points"]).astype(np.float64)
    assert abs(np.linalg.norm(surface, axis=1).max() - 1) < 0.02
    back = points.frame.to_unit(shape.frame.to_source(surface))
    gap = np.abs(back[:, None] - points.surface[None, :200]).max(axis=2).min(axis=0)
    assert (gap < 1e-4).mean() > 0.5  # 4000 of 6000 points are kept


@pytest.mark.parametrize("name", NAMES)
def test_volume_pools_are_uniform_in_the_ball_whatever_the_domain_was(name: str, boxes: dict[str, Points]):
    shape, mesh = convert(boxes[name], VECSET), toy_meshes()[name]
    outside = decode("volume_outside", shape.pools["volume_outside"])
    radius = np.linalg.norm(outside, axis=1)
    beyond = radius[radius > 1] / QUERY_BALL_RADIUS  # nothing of the shape is there, so these are uniform
    expected = (1 - 3**-1.5) * shape.volume_drawn_outside
    assert abs(len(beyond) - expected) < 5 * np.sqrt(expected)
    volume = mesh_volume(mesh.vertices[mesh.faces]) * shape.frame.scale**3 / (4 / 3 * np.pi * 3**1.5)
    inside = len(shape.pools["volume_inside"]) / shape.volume_drawn_inside
    assert abs(inside - volume) < 5 * np.sqrt(volume / shape.volume_drawn_inside) + 0.02 * volume


def mesh_volume(corners: np.ndarray) -> float:
    a, b, c = np.moveaxis(corners, 1, 0)
    return float(np.einsum("fc,fc->f", a, np.cross(b, c)).sum() / 6)
