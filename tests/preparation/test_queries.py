"""Thin shapes get enough queries inside, and these are unbiased."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.files.errors import MeshError
from lagem.geometry.frame import QUERY_BALL_VOLUME
from lagem.geometry.mesh import Mesh
from lagem.preparation.queries import draw_inside
from lagem.preparation.settings import Settings
from lagem.preparation.shape import prepare_shape
from lagem.preparation.solid import solid_of
from lagem.prepared.quantisation import decode


@pytest.fixture
def rod() -> Mesh:
    """A rod that fills 2e-5 of the ball, so that of 4,000 uniform draws hardly any is inside."""
    made = trimesh.creation.box((0.015, 0.015, 2))
    return Mesh(made.vertices, made.faces)


def test_a_thin_rod_gets_its_inside_points_and_its_true_share(rod, tmp_path):
    rod.save(tmp_path / "rod.ply")
    settings = Settings(surface=100, volume=4_000, near=100, inside=3_000)
    shape, measures = prepare_shape(tmp_path / "rod.ply", "rod", "rods", "train", settings)
    inside = decode("volume_inside", shape.pools["volume_inside"]).astype(np.float64)
    assert 3_000 <= len(inside) < 3_600 and measures.volume_inside == len(inside)
    assert (np.abs(shape.frame.to_source(inside)) <= np.array([0.0075, 0.0075, 1]) + 1e-4).all()
    volume = 0.015**2 * 2 * shape.frame.scale**3
    assert measures.inside_share == len(inside) / shape.volume_drawn_inside
    assert measures.inside_share == pytest.approx(volume / QUERY_BALL_VOLUME, rel=4 / np.sqrt(3_000))
    assert shape.volume_drawn_outside == 4_000


def test_a_wire_a_thousandth_thick_gets_its_inside_points_too(tmp_path):
    wire = trimesh.creation.box((0.001, 0.001, 2))
    Mesh(wire.vertices, wire.faces).save(tmp_path / "wire.ply")
    settings = Settings(surface=100, volume=1_000, near=100, inside=2_000)
    shape, measures = prepare_shape(tmp_path / "wire.ply", "wire", "wires", "train", settings)
    assert measures.route == "own" and measures.volume_inside >= 2_000
    assert measures.inside_share == pytest.approx(0.001**2 * 2 * shape.frame.scale**3 / QUERY_BALL_VOLUME, rel=0.1)


def test_inside_points_are_uniform_in_the_solid(rod):
    solid = solid_of(rod, conversion="none", resolution=64, thickness=0.01, rng=np.random.default_rng(0))
    stored, _ = draw_inside(solid, 4_000, np.random.default_rng(1))
    height = (decode("volume_inside", stored)[:, 2] / solid.frame.scale + 1) / 2
    shares = np.histogram(height, bins=8, range=(0, 1))[0] / len(height)
    assert np.abs(shares - 1 / 8).max() < 4 * np.sqrt(1 / 8 / len(height))


def test_a_shape_with_enough_inside_points_gets_no_more(sphere, tmp_path):
    sphere.save(tmp_path / "ball.ply")
    settings = Settings(surface=100, volume=4_000, near=100, inside=500)
    shape, _ = prepare_shape(tmp_path / "ball.ply", "ball", "balls", "train", settings)
    assert shape.volume_drawn_inside == 4_000
    assert len(shape.pools["volume_inside"]) + len(shape.pools["volume_outside"]) == 4_000


def test_a_closed_film_too_thin_to_be_labelled_is_thickened():
    film = trimesh.creation.box((2, 2, 1e-6))
    solid = solid_of(
        Mesh(film.vertices, film.faces), conversion="flood", resolution=64, thickness=0.02, rng=np.random.default_rng(0)
    )
    assert solid.route == "flood"
    assert solid.mesh.signed_volume / (solid.mesh.area / 2) == pytest.approx(0.02, rel=0.1)


def test_a_solid_too_thin_to_be_sampled_is_refused_in_words(rod, monkeypatch):
    solid = solid_of(rod, conversion="none", resolution=64, thickness=0.01, rng=np.random.default_rng(0))
    monkeypatch.setattr("lagem.preparation.queries.MOST_DRAWN", 1000)
    monkeypatch.setattr("lagem.preparation.queries.DRAWN_AT_ONCE", 1000)
    with pytest.raises(MeshError, match=r"only \d+ of \d+ points .* Lower --inside"):
        draw_inside(solid, 100_000, np.random.default_rng(0))
