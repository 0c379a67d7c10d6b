"""In bfloat16, StackedMuon equals torch's Muon; in float32, its orthogonalisation agrees with one in float64."""

import copy

import pytest
import torch
from torch.optim import Muon
from torch.optim._muon import _zeropower_via_newtonschulz

from lagem.modules import muon
from lagem.modules.muon import StackedMuon, orthogonalised

ITERATION = {"coefficients": (3.4445, -4.7750, 2.0315), "steps": 5, "eps": 1e-7}
SHAPES = [(64, 64), (128, 64), (96, 64), (64, 96), (64, 256), (512, 64)]


def matrices(shape, count=3):
    """Return a stack of `count` random matrices, a matrix whose rank is nearly 1, and a zero matrix."""
    stack = torch.randn(count + 2, *shape, generator=torch.Generator().manual_seed(0))
    stack[count] = stack[count, :, :1] @ stack[count, :1] + 1e-4 * stack[count]
    stack[count + 1] = 0
    return stack


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_each_matrix_of_a_stack_is_torchs_bit_for_bit(shape):
    stack = matrices(shape)
    alone = torch.stack([_zeropower_via_newtonschulz(m, *ITERATION.values()) for m in stack])
    assert torch.equal(orthogonalised(stack, dtype=torch.bfloat16, **ITERATION), alone)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_it_is_the_plain_iteration_in_float64(shape):
    stack = matrices(shape)
    a, b, c = ITERATION["coefficients"]
    for matrix, found in zip(stack, orthogonalised(stack, dtype=torch.float32, **ITERATION), strict=True):
        expected = matrix.double() / matrix.double().norm().clamp(min=1e-7)
        for _ in range(5):
            gram = expected @ expected.T
            expected = a * expected + (b * gram + c * gram @ gram) @ expected
        assert float((found - expected).norm()) <= 1e-3 * float(expected.norm())


def parameters():
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [*SHAPES, *SHAPES[:3]]]


def train(optimizer, values, steps, generator):
    for _ in range(steps):
        for value in values:
            value.grad = torch.randn(value.shape, generator=generator)
        optimizer.step()


def test_in_bfloat16_a_training_is_torchs_bit_for_bit(monkeypatch):
    in_float32 = muon.orthogonalised
    monkeypatch.setattr(
        muon, "orthogonalised", lambda stack, *, dtype, **rest: in_float32(stack, dtype=torch.bfloat16, **rest)
    )
    settings = {"lr": 0.02, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    ours, theirs = parameters(), parameters()
    train(StackedMuon(ours, **settings), ours, 5, torch.Generator().manual_seed(2))
    train(Muon(theirs, **settings), theirs, 5, torch.Generator().manual_seed(2))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_state_of_torchs_muon_loads_and_goes_back():
    settings = {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"}
    values = parameters()
    theirs = Muon(values, **settings)
    train(theirs, values, 3, torch.Generator().manual_seed(2))
    ours = StackedMuon(values, **settings)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    assert all(torch.equal(ours.state[v]["momentum_buffer"], theirs.state[v]["momentum_buffer"]) for v in values)
    Muon(values, **settings).load_state_dict(ours.state_dict())


def test_matrices_without_a_gradient_stay():
    values = parameters()
    before = [value.detach().clone() for value in values]
    values[0].grad = torch.ones_like(values[0])
    StackedMuon(values, lr=0.02, adjust_lr_fn="match_rms_adamw").step()
    assert [torch.equal(value, old) for value, old in zip(values, before, strict=True)] == [False] + [True] * 8
