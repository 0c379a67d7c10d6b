"""Distances between pairs of clouds equal known ones and those that loops compute; each row is stored in a journal."""

import itertools

import numpy as np
import pytest

from lagem.evaluation.generation.pairs import ChamferDistances, EarthMoversDistances, pair_distances
from lagem.geometry.metrics import chamfer_distance
from lagem.storage.journal import Journal

CLOUDS = np.random.default_rng(0).normal(size=(5, 6, 3))


def test_chamfer_distances_equal_a_double_loop():
    measure = ChamferDistances(CLOUDS)
    for first, second in itertools.combinations(range(5), 2):
        a, b = CLOUDS[first], CLOUDS[second]
        there = [min(np.linalg.norm(p - q) for q in b) for p in a]
        back = [min(np.linalg.norm(p - q) for p in a) for q in b]
        plain, squared = measure(first, second)
        assert plain == pytest.approx(np.mean(there) + np.mean(back)) == pytest.approx(chamfer_distance(a, b))
        assert squared == pytest.approx(np.mean(np.square(there)) + np.mean(np.square(back)))


def test_the_earth_movers_distance_is_the_best_of_all_assignments():
    measure = EarthMoversDistances(CLOUDS)
    a, b = CLOUDS[:2]
    best = min(np.linalg.norm(a - b[list(order)], axis=1).mean() for order in itertools.permutations(range(6)))
    assert measure(0, 1)[0] == pytest.approx(best)


def test_the_earth_movers_distance_of_a_moved_and_shuffled_cloud_is_the_way_it_moved():
    rng = np.random.default_rng(0)
    cloud, way = rng.normal(size=(200, 3)), np.array([0.3, -0.4, 1.2])
    (found,) = EarthMoversDistances([cloud, rng.permutation(cloud) + way])(0, 1)
    assert found == pytest.approx(1.3)


def found_in(path, measure, reach, workers=1):
    return pair_distances(measure, reach, journal=Journal(path, "kind"), workers=workers, title="pairs")


@pytest.mark.parametrize("workers", [1, 3])
def test_matrices_hold_every_pair_that_was_asked_for(tmp_path, workers):
    measure = ChamferDistances(CLOUDS)
    plain, squared = found_in(tmp_path / "journal", measure, [0, 1, 2, 3, 2], workers)
    for row, column in itertools.combinations(range(5), 2):
        asked = (row, column) not in ((2, 4), (3, 4))
        for number, matrix in enumerate((plain, squared)):
            expected = measure(column, row)[number] if asked else np.nan
            np.testing.assert_equal([matrix[row, column], matrix[column, row]], [expected] * 2)
    assert not plain.diagonal().any()


def test_a_killed_run_resumes_after_its_last_whole_row(tmp_path):
    whole = found_in(tmp_path / "whole", ChamferDistances(CLOUDS), range(5))
    asked = []

    def killed(first, second):
        if first == 3:
            raise KeyboardInterrupt
        return ChamferDistances(CLOUDS)(first, second)

    def again(first, second):
        asked.append((first, second))
        return ChamferDistances(CLOUDS)(first, second)

    with pytest.raises(KeyboardInterrupt):
        found_in(tmp_path / "journal", killed, range(5))
    with (tmp_path / "journal").open("a") as file:
        file.write('["3", [[0.1')
    for matrix, expected in zip(found_in(tmp_path / "journal", again, range(5)), whole, strict=True):
        np.testing.assert_array_equal(matrix, expected)
    assert {first for first, _ in asked} == {3, 4}
