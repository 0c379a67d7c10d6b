"""A network is built only if its weights fit into memory; the check does not change the weights."""

import pytest
import torch
from torch import nn

from lagem.device import memory_of_machine
from lagem.models.size import built


def test_a_network_is_the_same_as_without_the_check():
    torch.manual_seed(0)
    expected = nn.Linear(3, 4)
    torch.manual_seed(0)
    found = built(lambda: nn.Linear(3, 4))
    assert torch.equal(found.weight, expected.weight) and torch.equal(found.bias, expected.bias)


def test_weights_beyond_the_memory_are_refused_before_they_are_made():
    rows = memory_of_machine() // 4 // 2**10 + 1
    made = []

    def make() -> nn.Module:
        made.append(nn.Linear(2**10, rows, bias=False))
        return made[-1]

    with pytest.raises(ValueError, match=rf"has {rows * 2**10:,} weights, which need .* GiB, but this machine has"):
        built(make)
    assert [linear.weight.device.type for linear in made] == ["meta"]
