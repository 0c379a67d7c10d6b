"""The noise of a sample depends only on the sample's generator."""

import pytest
import torch

from lagem.diffusion.noise import draw_noise, partly_noise, torch_generator

from .conftest import generators


def test_noise_of_a_sample_does_not_depend_on_its_batch():
    together = draw_noise(torch.empty(3, 5, 2), generators(3))
    assert torch.equal(together[2:], draw_noise(torch.empty(1, 5, 2), generators(1, start=2)))


def test_generators_are_keyed_by_seed_epoch_and_sample():
    keys = [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]
    first = [torch.randn(4, generator=torch_generator(*key)) for key in keys]
    again = [torch.randn(4, generator=torch_generator(*key)) for key in keys]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert len({tuple(values.tolist()) for values in first}) == len(keys)


def test_a_generator_too_few_is_refused():
    with pytest.raises(ValueError, match="3 samples need one generator each, but 2"):
        draw_noise(torch.empty(3, 5, 2), generators(2))


@pytest.mark.parametrize(("fraction", "replaced"), [(0.0, 0), (0.25, 5), (1.0, 20)])
def test_a_part_of_the_vectors_becomes_noise_and_the_rest_stays_in_place(fraction, replaced):
    latents = torch.full((3, 20, 4), 9.0)
    kept = (partly_noise(latents, fraction, generators(3)) == latents).all(dim=-1)
    assert (~kept).sum(dim=1).tolist() == [replaced] * 3


def test_which_vectors_become_noise_differs_between_samples():
    kept = (partly_noise(torch.full((2, 20, 4), 9.0), 0.5, generators(2)) == 9).all(dim=-1)
    assert not torch.equal(kept[0], kept[1])


def test_a_part_larger_than_the_whole_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, but 1.5"):
        partly_noise(torch.empty(1, 2, 2), 1.5, generators(1))
