"""The random map of an augmentation has the documented distribution, and keeps a shape in the unit sphere."""

import numpy as np
import pytest

from lagem.sources.augmentation import Augmentation


def matrices(count: int, **kwargs) -> np.ndarray:
    rng = np.random.default_rng(0)
    cloud = rng.standard_normal((50, 3))
    cloud /= np.linalg.norm(cloud, axis=1).max()
    return np.stack([Augmentation(**kwargs).draw(cloud, rng) for _ in range(count)])


def turns(rotation: str, count: int = 4000) -> np.ndarray:
    return matrices(count, axis_scale=None, rotation=rotation)


def test_uniform_rotation_has_the_moments_of_the_haar_measure():
    rotations = turns("uniform")
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    np.testing.assert_allclose(rotations.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.03)
    angle = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert angle.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.05)  # density (1 - cos) / pi


def test_the_paper_s_angles_are_not_uniform():
    rotations = turns("paper")
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    # Eq. 13: R[2, 2] = cos(pitch) cos(roll), and E[cos] of N(0, 1) is exp(-1/2)
    assert rotations.mean(axis=0)[2, 2] == pytest.approx(np.exp(-1), abs=0.04)


def test_the_paper_s_rotation_is_equation_13():
    class Fixed:
        def standard_normal(self, count):
            return np.array([0.3, -0.5, 0.9])

    (a, b, c) = 0.3, -0.5, 0.9
    yaw = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    pitch = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    roll = [[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]]
    cloud = np.eye(3)
    drawn = Augmentation(axis_scale=None, rotation="paper").draw(cloud, Fixed())
    np.testing.assert_allclose(drawn, np.array(yaw) @ pitch @ roll, atol=1e-12)


def test_yaw_keeps_z_up():
    rotations = turns("yaw")
    np.testing.assert_allclose(rotations[:, 2], [[0, 0, 1]] * len(rotations), atol=1e-12)
    np.testing.assert_allclose(rotations[:, :2, :2].mean(axis=0), 0, atol=0.05)


def test_axis_scales_keep_their_range_up_to_the_common_factor():
    scales = np.stack([np.diag(m) for m in matrices(500, rotation="none")])
    ratio = scales.max(axis=1) / scales.min(axis=1)
    assert ratio.min() > 1 and 1.5 < ratio.max() <= 1.25 / 0.75


@pytest.mark.parametrize("max_norm", [1.0, 0.999])
@pytest.mark.parametrize("flips", ["none", "signs", "paper"])
def test_surface_points_reach_max_norm_exactly(max_norm, flips):
    rng = np.random.default_rng(3)
    cloud = rng.uniform(-0.4, 0.4, (100, 3))
    for _ in range(20):
        moved = cloud @ Augmentation(max_norm=max_norm, flips=flips).draw(cloud, rng).T
        assert np.linalg.norm(moved, axis=1).max() == pytest.approx(max_norm, abs=1e-9)


@pytest.mark.parametrize(("flips", "count"), [("paper", 48), ("signs", 8)])
def test_the_paper_s_flips_are_the_48_symmetries_of_the_cube_and_those_of_signs_are_8_of_them(flips, count):
    drawn = matrices(2000, axis_scale=None, rotation="none", flips=flips)
    assert len({tuple(np.rint(m).astype(int).ravel()) for m in drawn}) == count
    np.testing.assert_allclose(drawn, np.rint(drawn), atol=1e-9)
    assert flips == "paper" or all(np.count_nonzero(np.diag(m)) == 3 for m in drawn)


def test_nothing_chosen_is_the_identity():
    (matrix,) = matrices(1, axis_scale=None, rotation="none")
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-12)


def test_same_generator_same_map():
    np.testing.assert_array_equal(matrices(3), matrices(3))


@pytest.mark.parametrize("wrong", [{"axis_scale": (1.2, 0.8)}, {"axis_scale": (0.0, 1.0)}, {"max_norm": 1.1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
