"""`seen_points` chooses a given proportion of a surface's points, visible ones before hidden ones."""

import numpy as np
import pytest

from lagem.embeddings.visibility import seen_points

UP = np.array([0.0, 0.0, 1.0])


def ball(count: int) -> np.ndarray:
    points = np.random.default_rng(0).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.1, 1 / 3, 0.5, 1.0])
def test_exactly_the_share_is_chosen_and_at_least_one_point(share):
    assert seen_points(ball(600), UP, share).sum() == round(600 * share)
    assert seen_points(ball(600), UP, 0).sum() == 1


@pytest.mark.parametrize("direction", [UP, -UP, np.array([1.0, 0, 0]), np.array([3.0, -2, 1])], ids=str)
def test_a_third_of_a_sphere_is_on_the_side_of_the_camera_and_has_all_that_faces_it(direction):
    points = ball(6_000)
    height = points @ direction / np.linalg.norm(direction)
    seen = seen_points(points, direction, 1 / 3)
    assert height[seen].min() > 0.2  # the cap above 1/3 is a third of the surface; its steep rim is seen in part
    assert seen[height > 0.8].all()


def test_a_plate_hides_the_one_behind_it():
    flat = np.random.default_rng(0).uniform(-0.7, 0.7, (3_000, 2))
    plates = np.concatenate([np.c_[flat, np.full(len(flat), height)] for height in (0.5, -0.5)])
    in_front = np.arange(6_000) < 3_000
    assert (seen_points(plates, UP, 0.5) == in_front).mean() > 0.99
    assert (seen_points(plates, -UP, 0.5) == ~in_front).mean() > 0.99


def test_what_is_far_but_not_covered_is_seen_before_what_is_near_but_hidden():
    flat = np.random.default_rng(0).uniform(-0.4, 0.4, (2_000, 2))
    cover, below = np.c_[flat, np.full(2_000, 0.5)], np.c_[flat, np.full(2_000, 0.2)]
    beyond = np.c_[flat * 0.5 + [0.75, 0], np.full(2_000, -0.5)]
    seen = seen_points(np.concatenate([cover, below, beyond]), UP, 2 / 3).reshape(3, 2_000).mean(axis=1)
    assert seen[0] > 0.99 and seen[1] < 0.1 and seen[2] > 0.9


def test_neither_the_order_of_the_points_nor_the_length_of_the_direction_matters():
    points, direction = ball(500), np.array([1.0, 2, -1])
    seen, order = seen_points(points, direction, 0.3), np.random.default_rng(1).permutation(500)
    assert (seen_points(points[order], 7 * direction, 0.3) == seen[order]).all()
