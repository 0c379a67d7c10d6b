"""Tests of MuonAdamW, which combines Muon and AdamW in one optimiser."""

import copy

import pytest
import torch
from torch import nn

from lagem.levels import LevelSpec
from lagem.models.attention import Block
from lagem.models.autoencoder import Autoencoder
from lagem.modules.optimisers import MuonAdamW


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Linear(3, 64)
        self.block = Block(width=64, cross=False)
        self.output = nn.Linear(64, 1)

    def loss(self, generator: torch.Generator) -> torch.Tensor:
        points = torch.rand(4, 16, 3, generator=generator)
        return (self.output(self.block(self.input(points))).squeeze(-1) - points.sum(dim=-1)).square().mean()


def step(network: Network, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> float:
    optimizer.zero_grad()
    loss = network.loss(generator)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def test_every_parameter_is_trained_by_one_of_the_two():
    network = Autoencoder(levels=[LevelSpec(8, 4, depth=1), LevelSpec(4, 4, depth=1)], width=64)
    muon, adamw = MuonAdamW(network, lr=1e-3)._parts
    parts = [{id(p) for group in part.param_groups for p in group["params"]} for part in (muon, adamw)]
    assert parts[0] | parts[1] == {id(p) for p in network.parameters()}
    assert not parts[0] & parts[1]
    names = {name for name, p in network.named_parameters() if id(p) in parts[0]}
    assert {name.rsplit(".", 2)[1] for name in names} == {"to_q", "to_kv", "to_out", "expand", "contract"}


def test_a_matrix_update_is_orthogonal_and_as_large_as_that_of_adamw():
    """With `match_rms_adamw`, an update has a root mean square of 0.2 lr, and nearly equal singular values."""
    torch.manual_seed(0)
    network = Network()
    matrix = network.block.feed_forward.contract.weight
    before = matrix.detach().clone()
    matrix.grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(0))
    MuonAdamW(network, lr=0.01, weight_decay=0.0).step()
    moved = matrix.detach() - before
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.2)
    values = torch.linalg.svdvals(moved)
    assert float(values[0] / values[len(values) // 2]) < 2


def test_it_learns_and_goes_on_from_its_state_bitwise():
    torch.manual_seed(0)
    network, generator = Network(), torch.Generator().manual_seed(0)
    optimizer = MuonAdamW(network, lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda count: 0.98**count)
    losses = []
    for _ in range(20):
        losses.append(step(network, optimizer, generator))
        schedule.step()
    other = copy.deepcopy(network)
    resumed = MuonAdamW(other, lr=1.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert [group["lr"] for group in resumed.param_groups] == [group["lr"] for group in optimizer.param_groups]
    again = torch.Generator()
    again.set_state(generator.get_state())
    for _ in range(20):
        assert step(network, optimizer, generator) == step(other, resumed, again)
    assert losses[-1] < losses[0] / 4


def test_a_schedule_reaches_both_parts():
    network = Network()
    optimizer = MuonAdamW(network, lr=0.1, weight_decay=0.0)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda count: 0.0)
    before = [p.detach().clone() for p in network.parameters()]
    step(network, optimizer, torch.Generator().manual_seed(0))
    assert all(torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))
