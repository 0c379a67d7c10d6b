"""The mean of several shapes lies where most of them lie, in the coordinates that were asked for."""

from functools import partial

import numpy as np
import pytest
import torch

from lagem.completion.mean import mean_field
from lagem.geometry.frame import Frame
from lagem.geometry.surface import extract_surface

COMMON = Frame(center=np.array([2.0, -1.0, 0.5]), scale=0.25)  # maps common coordinates to those of the mean


def ball(points: torch.Tensor) -> torch.Tensor:
    """Return logits of a ball of radius 0.8."""
    return 20 * (0.8 - points.norm(dim=1))


def radii_of(shapes) -> np.ndarray:
    """Return the distances of the mean's vertices from the centre of the common coordinates that COMMON has."""
    mesh = extract_surface(mean_field(shapes, COMMON), resolution=48).in_source(COMMON)
    return np.linalg.norm(mesh.vertices - COMMON.center, axis=1)


def test_the_mean_of_one_shape_is_this_shape_in_other_coordinates():
    own = Frame(center=np.array([2.5, -1.0, 0.0]), scale=0.4)
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    expected = ball(torch.from_numpy(own.to_unit(COMMON.to_source(points.double().numpy()))).float())
    near = expected.abs() < 8
    assert 20 < near.sum() < 200
    for shapes in ([(ball, own)], 3 * [(ball, own)]):
        found = mean_field(shapes, COMMON)(points)
        torch.testing.assert_close(found[near], expected[near], rtol=0.01, atol=0.01)
        assert ((found > 0) == (expected > 0)).all()


def test_of_three_sharp_balls_the_one_in_the_middle_is_the_mean():
    balls = [(lambda points: 20 * ball(points), Frame(center=COMMON.center, scale=scale)) for scale in (0.3, 0.32, 0.4)]
    assert radii_of(balls) == pytest.approx(0.8 / 0.32, rel=0.04)  # half a cell is 3%


def test_errors_that_differ_from_shape_to_shape_cancel():
    generator, own = torch.Generator().manual_seed(0), Frame(center=COMMON.center, scale=0.3)

    def bumpy(points: torch.Tensor, waves: torch.Tensor) -> torch.Tensor:
        return ball(points) + (points @ waves).sin().sum(dim=1)

    shapes = [(partial(bumpy, waves=5 * torch.randn(3, 4, generator=generator)), own) for _ in range(16)]
    errors = [np.abs(radii_of([shape]) - 0.8 / 0.3).mean() for shape in shapes]
    assert np.abs(radii_of(shapes) - 0.8 / 0.3).mean() < 0.6 * min(errors)


def test_nothing_is_inside_far_from_all_shapes():
    def everywhere(points: torch.Tensor) -> torch.Tensor:
        return torch.full((len(points),), 5.0)

    logits = mean_field([(everywhere, Frame(center=np.zeros(3), scale=1.0))], Frame(center=np.zeros(3), scale=0.5))
    assert (logits(torch.tensor([[0.5, 0.5, 0.5], [0.9, 0.0, 0.0]])) > 0).tolist() == [True, False]
