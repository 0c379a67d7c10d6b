"""Tests of benchmarks/recipe_samples.py on a box, whose distances to points are known exactly."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from lagem.preparation.settings import Settings
from lagem.prepared.shards import Shards
from preparation_here import prepare

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recipe_samples import BAND, CLOSEST, QUERIES, RecipeData, facts_of

TURN = np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])  # normals that eight bits do not hold exactly
HALF = np.array([1.0, 0.6, 0.4]) / np.linalg.norm([1.0, 0.6, 0.4])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Prepare a rotated box twice, as a training shape and as a validation shape; return the folder."""
    folder = tmp_path_factory.mktemp("box")
    box = trimesh.creation.box(extents=(1.0, 0.6, 0.4))
    box.vertices = box.vertices @ TURN.T
    box.export(folder / "box.obj")
    (folder / "meshes.csv").write_text("file,id,category,split\nbox.obj,a,box,train\nbox.obj,b,box,val\n")
    settings = Settings(surface=4000, volume=4000, near=4000, inside=0, shapes_per_shard=2)
    prepare([folder / "meshes.csv"], folder / "prepared", settings)
    return folder / "prepared"


def to_faces(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far (…, 3) points are outside the box along each of its three axes: (…, 3) signed distances.

    A value is negative if the point lies between the two faces that are perpendicular to the axis.
    """
    return np.abs(points @ TURN) - HALF


def distance(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the exact distances of (…, 3) points from the surface of the box."""
    beyond = to_faces(points)
    return np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(axis=-1), 0))


def distance_to_edge(points: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the distances of points on the surface from the nearest face other than the one that they lie on."""
    return np.sort(np.abs(to_faces(points)), axis=-1)[:, 1]


def data(prepared: Path, change: str, folder: Path) -> RecipeData:
    source = RecipeData(root=str(prepared), num_workers=0, num_surface_points=1000, num_volume_queries=200)
    source.change, source.facts = change, folder
    source.setup("fit")
    return source


def test_distances_are_those_of_the_shape(prepared):
    shards = Shards(prepared)
    facts = facts_of(shards, 0)
    for pool in QUERIES:
        errors = np.abs(facts[pool] - distance(shards.read(0, pool)))
        assert np.quantile(errors, 0.98) < 0.02


def test_edges_are_sharp_and_faces_are_not(prepared):
    shards = Shards(prepared)
    sharp, to_edge = facts_of(shards, 0)["sharp"].astype(np.float64), distance_to_edge(shards.read(0, "surface_points"))
    assert sharp[to_edge < 0.01].mean() > 0.2
    assert sharp[to_edge > 0.1].max() < 0.01


def test_a_truncated_distance_says_how_far_inside_or_outside(prepared, tmp_path):
    source = data(prepared, "truncated distance", tmp_path)
    sample, hard = source.train_shapes[0, 0], source.val_shapes[0, 0].near_occupancy
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    points, soft = sample.near_points.numpy(), sample.near_occupancy.numpy()
    inside = (to_faces(points) <= 0).all(axis=-1)
    assert (soft[inside] >= 0.5).all() and (soft[~inside] <= 0.5).all()
    expected = 0.5 + (inside - 0.5) * np.minimum(distance(points) / BAND, 1)
    assert np.abs(soft - expected).mean() < 0.05


def test_the_closest_near_queries_are_close(prepared, tmp_path):
    near = data(prepared, "closest near queries", tmp_path).train_shapes[0, 0].near_points.numpy()
    assert (
        np.quantile(distance(near), 0.95)
        < 1.5 * CLOSEST
        < np.quantile(
            distance(data(prepared, "truncated distance", tmp_path).train_shapes[0, 0].near_points.numpy()), 0.7
        )
    )


def test_half_of_the_sharp_points_are_at_edges(prepared, tmp_path):
    def share_at_edges(change: str) -> float:
        points = data(prepared, change, tmp_path).val_shapes[0, 0].surface_points.numpy()
        return float((distance_to_edge(points) < 0.05).mean())

    assert share_at_edges("sharp points") > share_at_edges("truncated distance") + 0.2
