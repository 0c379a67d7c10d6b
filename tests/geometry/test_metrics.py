"""Metrics equal those computed by plain loops or by formulas."""

import numpy as np
import pytest
import trimesh

from lagem.geometry.mesh import Mesh
from lagem.geometry.metrics import chamfer_distance, fscore, iou, sampling_floor, score_surface, surface_distances
from lagem.geometry.sampling import sample_surface


@pytest.fixture
def clouds(rng):
    return rng.random((31, 3)), rng.random((17, 3))


def nearest(a, b):
    return [min(float(np.sqrt(((p - q) ** 2).sum())) for q in b) for p in a]


def test_distances_match_a_double_loop(clouds):
    a_to_b, b_to_a = surface_distances(*clouds)
    np.testing.assert_allclose(a_to_b, nearest(*clouds))
    np.testing.assert_allclose(b_to_a, nearest(*clouds[::-1]))


def test_chamfer_matches_a_double_loop(clouds):
    a, b = clouds
    expected = sum(nearest(a, b)) / len(a) + sum(nearest(b, a)) / len(b)
    assert chamfer_distance(a, b) == pytest.approx(expected)


def test_fscore_matches_a_double_loop(clouds):
    a, b = clouds
    recall = sum(distance < 0.2 for distance in nearest(a, b)) / len(a)
    precision = sum(distance < 0.2 for distance in nearest(b, a)) / len(b)
    assert 0 < recall < 1 and recall != precision
    assert fscore(a, b, 0.2) == pytest.approx(2 * precision * recall / (precision + recall))


def test_fscore_runs_from_zero_to_one(clouds):
    a, _ = clouds
    assert fscore(a, a) == 1 and fscore(a, a + 5) == 0


def test_chamfer_of_a_shift_is_twice_the_shift():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    assert chamfer_distance(grid, grid + np.array([0.1, 0, 0])) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("first", "second"), [(np.zeros((0, 3)), np.zeros((4, 3))), (np.zeros((4, 3)), [[0, 0, np.nan]])]
)
def test_cloud_without_distance_is_refused(first, second):
    with pytest.raises(ValueError, match="cloud has"):
        chamfer_distance(first, second)


def test_sampling_floor_is_the_chamfer_of_two_samplings(sphere, rng):
    a, _ = sample_surface(sphere, 20_000, rng)
    b, _ = sample_surface(sphere, 5_000, rng)
    assert chamfer_distance(a, b) == pytest.approx(sampling_floor(sphere.area, 20_000, 5_000), rel=0.02)


def test_iou_counts_shared_over_joint():
    predicted, occupancy = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    assert iou(predicted, occupancy) == pytest.approx(2 / 4)
    assert iou(predicted, occupancy, np.array([4.0, 2, 1, 100, 1])) == pytest.approx(5 / 8)


def test_iou_of_two_empty_labellings_is_one():
    nothing = np.zeros(4, bool)
    assert iou(nothing, nothing) == 1 and iou(nothing, ~nothing) == 0


def test_iou_of_arrays_of_different_shapes_is_refused():
    with pytest.raises(ValueError, match=r"\(4,\), \(1,\)"):
        iou(np.zeros(4, bool), np.zeros(1, bool))


def test_perfect_surface_scores_at_its_floor(sphere, rng):
    reference, _ = sample_surface(sphere, 30_000, rng)
    score = score_surface(sphere, reference, rng=rng, count=30_000, threshold=0.05)
    assert score.chamfer == pytest.approx(score.floor, rel=0.02)
    assert score.fscore == 1 and score.threshold == 0.05


def test_swollen_surface_scores_its_offset(sphere, rng):
    reference, _ = sample_surface(sphere, 30_000, rng)
    swollen = Mesh(sphere.vertices * 1.1, sphere.faces)
    score = score_surface(swollen, reference, rng=rng, count=30_000)
    assert score.chamfer == pytest.approx(0.2, rel=0.02) and score.fscore == 0


def test_missing_half_lowers_recall_only(rng):
    two = trimesh.util.concatenate(
        [trimesh.creation.box(transform=np.eye(4)), trimesh.creation.box(bounds=[[3] * 3, [4] * 3])]
    )
    whole = Mesh(two.vertices, two.faces)
    half = Mesh(whole.vertices, whole.faces[:12])
    reference, _ = sample_surface(whole, 20_000, rng)
    score = score_surface(half, reference, rng=rng, count=20_000, threshold=0.1)
    assert score.fscore == pytest.approx(2 * 0.5 / 1.5, abs=0.01)  # precision 1, recall a half
