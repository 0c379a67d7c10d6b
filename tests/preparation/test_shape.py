"""The arrays of a prepared mesh have the right labels, frame and size; any window of their rows is a fair sample."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lagem.geometry.files.errors import MeshError
from lagem.geometry.frame import QUERY_BALL_RADIUS
from lagem.geometry.mesh import Mesh
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.prepared.quantisation import POOLS, SURFACE_LIMIT, decode, encode
from lagem.prepared.shard_file import ShapeArrays, write_shard


def prepared(mesh: Mesh, folder: Path, settings: Settings, id: str = "a") -> ShapeArrays:
    mesh.save(folder / "mesh.ply")
    return prepare_shape(folder / "mesh.ply", id, "category", "train", settings)[0]


def height_over_convex(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Return each point's largest signed distance to the planes of all faces: > 0 outside a convex mesh, < 0 inside."""
    normals, _ = mesh.normals_and_areas()
    offsets = np.einsum("fc,fc->f", normals, mesh.vertices[mesh.faces[:, 0]])
    return np.max(points @ normals.T - offsets, axis=1)


@pytest.mark.parametrize("name", ["box", "sphere"])
@pytest.mark.parametrize("kind", ["volume", "near"])
def test_labels_are_right_at_the_position_as_stored(name, kind, tmp_path, request):
    mesh = request.getfixturevalue(name)
    shape = prepared(mesh, tmp_path, Settings(surface=10, volume=20_000, near=5_000, inside=0))
    unit = mesh.in_frame(shape.frame)
    for side, sign in (("inside", -1), ("outside", 1)):
        height = height_over_convex(unit, decode(f"{kind}_{side}", shape.pools[f"{kind}_{side}"]).astype(np.float64))
        assert len(height) > 100
        assert (sign * height > -1e-4).all()


def test_frame_leads_surface_points_back_to_the_source(tmp_path, box):
    shape = prepared(box, tmp_path, Settings(surface=500, volume=10, near=10, inside=0))
    points = shape.frame.to_source(decode("surface_points", shape.pools["surface_points"]))
    half_a_step = np.sqrt(3) / 2 * SURFACE_LIMIT / 32767 / shape.frame.scale
    assert np.abs(height_over_convex(box, points)).max() <= 1.01 * half_a_step


def test_normals_belong_to_their_points(tmp_path, sphere):
    shape = prepared(sphere, tmp_path, Settings(surface=500, volume=10, near=10, inside=0))
    points, normals = (decode(pool, shape.pools[pool]) for pool in ("surface_points", "surface_normals"))
    assert (np.einsum("nc,nc->n", points, normals) > 0.97).all()


def test_normals_of_an_inside_out_mesh_point_outward(tmp_path, sphere):
    turned = Mesh(vertices=sphere.vertices, faces=sphere.faces[:, ::-1])
    shape = prepared(turned, tmp_path, Settings(surface=500, volume=10, near=10, inside=0))
    points, normals = (decode(pool, shape.pools[pool]) for pool in ("surface_points", "surface_normals"))
    assert (np.einsum("nc,nc->n", points, normals) > 0.97).all()


def test_volume_queries_fill_the_ball_uniformly(tmp_path, box):
    shape = prepared(box, tmp_path, Settings(surface=10, volume=40_000, near=10, inside=0))
    pools = ("volume_inside", "volume_outside")
    points = np.concatenate([decode(pool, shape.pools[pool]) for pool in pools])
    volume = (np.linalg.norm(points, axis=1) / QUERY_BALL_RADIUS) ** 3  # uniform in [0, 1]
    shares = np.histogram(volume, bins=10, range=(0, 1.001))[0] / len(points)
    assert np.abs(shares - 0.1).max() < 0.008
    assert np.abs(points.mean(axis=0)).max() < 0.02


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_any_window_of_near_queries_mixes_both_sigmas(side, tmp_path, sphere):
    shape = prepared(sphere, tmp_path, Settings(surface=10, volume=10, near=20_000, inside=0))
    points = decode(f"near_{side}", shape.pools[f"near_{side}"])
    of_large_sigma = np.abs(np.linalg.norm(points, axis=1) - 1) > 0.02  # four times the small sigma
    share = of_large_sigma.mean()
    assert share == pytest.approx(0.69 / 2, abs=0.05)  # P(|N(0, 0.05)| > 0.02) = 0.69, for half of the points
    for window in np.array_split(of_large_sigma, 10):
        assert abs(window.mean() - share) < 5 * np.sqrt(share * (1 - share) / len(window))


def test_any_window_of_surface_points_covers_the_whole_surface(tmp_path, box):
    shape = prepared(box, tmp_path, Settings(surface=8_000, volume=10, near=10, inside=0))
    unit = decode("surface_points", shape.pools["surface_points"])
    for window in np.array_split(unit, 8):
        assert np.abs(window.mean(axis=0)).max() < 5 / np.sqrt(len(window))


def test_near_queries_stay_in_range_and_do_not_pile_up_at_its_end(tmp_path, sphere):
    shape = prepared(sphere, tmp_path, Settings(surface=10, volume=10, near=20_000, inside=0, near_sigmas=(0.25,)))
    stored = shape.pools["near_outside"]
    assert np.abs(stored).max() <= 32767
    assert (np.abs(stored) == 32767).sum() <= 2


def test_positions_come_back_within_half_a_step():
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    for pool, (_, step) in POOLS.items():
        assert np.abs(decode(pool, encode(pool, points)) - points).max() <= step / 2 + 1e-7  # and float32


def test_decoded_positions_are_encoded_to_the_same_integers():
    every = np.arange(-32767, 32768, dtype=np.int16).reshape(-1, 3)
    for pool, (dtype, _) in POOLS.items():
        stored = every if dtype is np.int16 else (every // 300).astype(np.int8)
        np.testing.assert_array_equal(encode(pool, decode(pool, stored)), stored)


def test_a_shape_at_the_papers_counts_takes_4_1_megabytes(tmp_path, box):
    shape = prepared(box, tmp_path, Settings())
    write_shard(tmp_path / "shape.safetensors", [shape])
    assert shape.pools["surface_points"].shape == (125_000, 3)
    assert 4_125_000 < (tmp_path / "shape.safetensors").stat().st_size < 4_140_000


def test_the_seed_and_the_id_decide_the_points(tmp_path, box, small):
    first = prepared(box, tmp_path, small)
    for other, same in (
        (prepared(box, tmp_path, small), True),
        (prepared(box, tmp_path, small, id="b"), False),
        (prepared(box, tmp_path, replace(small, seed=1)), False),
    ):
        assert np.array_equal(first.pools["surface_points"], other.pools["surface_points"]) is same


def test_counts_add_up(tmp_path, box, small):
    shape = prepared(box, tmp_path, small)
    sizes = {pool: len(rows) for pool, rows in shape.pools.items()}
    assert sizes["surface_points"] == sizes["surface_normals"] == small.surface
    assert sizes["volume_inside"] + sizes["volume_outside"] == small.volume
    assert sizes["near_inside"] + sizes["near_outside"] == 2 * small.near
    assert shape.volume_drawn_inside == shape.volume_drawn_outside == small.volume


def test_without_conversion_an_open_mesh_is_refused(tmp_path, box, small):
    with pytest.raises(MeshError, match=r"3 of its edges are open .*; conversion is switched off.*--watertight"):
        prepared(Mesh(box.vertices, box.faces[:-1]), tmp_path, small)


def test_without_conversion_a_turned_face_is_refused(tmp_path, box, small):
    turned = box.faces.copy()
    turned[0] = turned[0, ::-1]
    with pytest.raises(MeshError, match=r"3 of its edges are open or join faces of opposite orientation"):
        prepared(Mesh(box.vertices, turned), tmp_path, small)


def test_without_conversion_a_mesh_around_nothing_is_refused(tmp_path, small):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    with pytest.raises(MeshError, match="encloses nothing"):
        prepared(Mesh(vertices, np.array([[0, 1, 2], [0, 2, 1]])), tmp_path, small)


def test_settings_are_checked_in_the_users_spelling():
    with pytest.raises(ValueError, match="--shapes-per-shard is 0"):
        Settings(shapes_per_shard=0)
    with pytest.raises(ValueError, match="--val-share is 2"):
        Settings(val_share=2)
    with pytest.raises(ValueError, match="--seed is -1"):
        Settings(seed=-1)
