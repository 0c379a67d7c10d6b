"""Random solids of the universe are valid, exact and deterministic, and sampling them always ends."""

import numpy as np
import pytest

from lagem.procedural.primitives.basic import Ball
from lagem.procedural.queries import draw_sample
from lagem.procedural.solids import ProceduralShape, ProceduralSolid
from lagem.procedural.universe import FAMILIES, LEAST_VOLUME, random_solid

UNIT_BALL = 4 / 3 * np.pi


@pytest.fixture(scope="module")
def solids():
    return [random_solid(np.random.default_rng(seed)) for seed in range(200)]


def is_closed(points, normals):
    """Say whether points that are uniform on a surface, and their normals, show that the surface is closed.

    On a closed surface, normals cancel, and the mean of x times the normal is the same along each axis. Missing faces,
    for example where two parts have coincident ones, change one or the other.
    """
    flux = points * normals
    zero = np.hstack([normals, flux - np.roll(flux, 1, axis=1)])
    return bool((np.abs(zero.mean(axis=0)) <= 6 * zero.std(axis=0) / np.sqrt(len(points)) + 1e-9).all())


@pytest.fixture(scope="module")
def surfaces(solids):
    """Points and normals on the surface of each solid, as float64."""
    drawn = [shape.sample_surface(4000, np.random.default_rng(1)) for shape in solids]
    return [(points.astype(np.float64), normals.astype(np.float64)) for points, normals in drawn]


def test_occupancy_flips_along_the_normals_of_random_solids(solids, surfaces):
    for seed, (shape, (points, normals)) in enumerate(zip(solids, surfaces, strict=True)):
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
        above, below = (shape.occupancy(points + step * normals) for step in (1e-5, -1e-5))
        assert above.mean() < 0.01 and below.mean() > 0.99, seed  # except for points within 1e-5 of an edge


def test_surfaces_of_random_solids_are_closed(surfaces):
    assert [seed for seed, (points, normals) in enumerate(surfaces) if not is_closed(points, normals)] == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_many_points_on_the_solids_of_a_family_show_no_gap(family):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        points, normals = ProceduralShape(family(rng)).sample_surface(20_000, rng)
        assert is_closed(points.astype(np.float64), normals.astype(np.float64)), seed


def test_random_solids_are_centred_and_fill_the_unit_sphere(solids):
    for seed, shape in enumerate(solids):
        points, _ = shape.sample_surface(20_000, np.random.default_rng(2))
        assert 0.95 < np.linalg.norm(points, axis=1).max() <= 1 + 1e-6, seed
        np.testing.assert_allclose(points.max(axis=0) + points.min(axis=0), 0, atol=0.06, err_msg=str(seed))


def test_random_solids_hold_enough_volume_and_their_inside_points(solids):
    for seed, shape in enumerate(solids):
        inside, volume = shape.sample_inside(500, np.random.default_rng(3))
        assert shape.occupancy(inside).all() and len(inside) == 500, seed
        assert 0.5 * LEAST_VOLUME * UNIT_BALL < volume <= UNIT_BALL, seed  # both volumes are estimates


def test_a_seed_decides_a_solid():
    for seed in range(20):
        (a, _), (b, _), (c, _) = (
            random_solid(np.random.default_rng(s)).sample_surface(50, np.random.default_rng(0))
            for s in (seed, seed, seed + 1000)
        )
        assert (a == b).all() and not (a == c).all()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_most_solids_of_a_family_can_be_sampled_quickly(family):
    shapes = [ProceduralShape(family(np.random.default_rng(seed))) for seed in range(60)]
    accepted = [shape.accepted_inside(400, np.random.default_rng(0)) for shape in shapes]
    assert sum(fraction > 0.05 and volume > LEAST_VOLUME * UNIT_BALL for fraction, volume in accepted) > 40


def test_outside_queries_of_a_sample_stay_close_to_the_origin_if_asked():
    shape = random_solid(np.random.default_rng(4))
    points, occupancy = draw_sample(shape, (100, 200, 60), np.random.default_rng(0), outside_within=1.0)
    assert [len(array) for array in points.values()] == [100, 200, 60]
    assert np.linalg.norm(points["volume_points"][100:], axis=1).max() <= 1 + 1e-6
    assert shape.occupancy(points["volume_points"]).tolist() == [True] * 100 + [False] * 100
    assert (shape.occupancy(points["near_points"]) == occupancy).all()


def test_outside_queries_are_farther_out_if_the_shape_leaves_no_room():
    ball = ProceduralShape([ProceduralSolid([Ball(np.zeros(3), np.ones(1))])])
    points, _ = draw_sample(ball, (100, 200, 60), np.random.default_rng(0), outside_within=0.9)
    distance = np.linalg.norm(points["volume_points"][100:], axis=1)
    assert distance.min() > 1 and 1.5 < distance.max() <= np.sqrt(3) + 1e-6
