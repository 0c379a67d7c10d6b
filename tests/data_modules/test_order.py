"""All ranks together see what one process sees, a resumed order continues, and validation sees every shape once."""

import itertools
import os

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from lagem.data_modules.order import TrainOrder, ValidationOrder
from lagem.data_modules.procedural import ProceduralDataModule
from lagem.samples import OccupancyBatch


def orders(world_size: int, batch_size: int, done: int = 0, num_shapes: int = 50, seed: int = 0) -> list[TrainOrder]:
    common = {"num_shapes": num_shapes, "batch_size": batch_size, "seed": seed, "world_size": world_size}
    return [TrainOrder(rank=rank, batches_done=lambda: done, **common) for rank in range(world_size)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_with_their_batches_sees(world_size):
    together = [list(itertools.chain(*batches)) for batches in zip(*orders(world_size, 4), strict=True)]
    assert together == list(*orders(1, 4 * world_size))


def test_two_ranks_hold_the_tensors_of_one_process_with_twice_the_batch():
    shapes = ProceduralDataModule(num_surface_points=16, num_volume_queries=4, num_near_queries=4).train_shapes
    batches = [next(iter(order)) for order in [*orders(2, 2), *orders(1, 4)]]
    left, right, whole = (OccupancyBatch.collate([shapes[key] for key in batch]) for batch in batches)
    for name in ("surface_points", "volume_points", "near_points", "near_occupancy"):
        assert torch.equal(torch.cat([getattr(left, name), getattr(right, name)]), getattr(whole, name))
    assert left.ids + right.ids == whole.ids


def test_a_pass_sees_no_shape_twice():
    indices = [index for batch in orders(1, 8)[0] for _, index in batch]
    assert len(indices) == len(set(indices)) == 48


def test_every_pass_has_its_own_order_and_number():
    (first,), (second,) = orders(1, 8), orders(1, 8, done=6)
    assert {epoch for batch in first for epoch, _ in batch} == {0}
    assert {epoch for batch in second for epoch, _ in batch} == {1}
    assert [i for batch in first for _, i in batch] != [i for batch in second for _, i in batch]


def test_another_seed_is_another_order():
    assert list(orders(1, 8)[0]) != list(orders(1, 8, seed=1)[0])


@pytest.mark.parametrize("done", range(14))
def test_the_order_goes_on_where_the_run_stopped(done):
    stream = list(itertools.chain(*(orders(1, 8, done=first)[0] for first in range(0, 30, 6))))
    (resumed,) = orders(1, 8, done=done)
    assert list(resumed) == stream[done : done + 6]
    assert len(resumed) == 6


def test_a_set_smaller_than_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"7 shapes, fewer than one batch of 4 on each of 2 ranks\."):
        TrainOrder(num_shapes=7, batch_size=4, seed=0, world_size=2)
    with pytest.raises(ValueError, match=r"7 shapes, fewer than one batch of 8\."):
        TrainOrder(num_shapes=7, batch_size=8, seed=0)


def test_validation_sees_every_shape_once_in_equally_many_batches():
    for num_shapes, batch_size, world_size in itertools.product(range(1, 40), range(1, 9), range(1, 5)):
        common = {"num_shapes": num_shapes, "batch_size": batch_size, "world_size": world_size}
        if num_shapes < world_size or (batch_size == 1 and num_shapes % world_size):
            with pytest.raises(ValueError, match=f"{num_shapes} validation shapes cannot be divided"):
                ValidationOrder(**common)
            continue
        ranks = [ValidationOrder(rank=rank, **common) for rank in range(world_size)]
        assert len({len(order) for order in ranks}) == 1
        batches = [batch for order in ranks for batch in order]
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
        assert sorted(key for batch in batches for key in batch) == [(0, index) for index in range(num_shapes)]


class Variable(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> str:
        return os.environ["VARIABLE"]


def test_the_loading_processes_of_a_rank_have_its_current_environment(monkeypatch):
    """The server that forks them already runs when the second loader starts, so they could have an old environment."""
    data = ProceduralDataModule(num_workers=1)
    data._rank = lambda: (0, 2)
    for value in ("first", "second"):
        monkeypatch.setenv("VARIABLE", value)
        assert list(DataLoader(Variable(), **{**data._loading(), "collate_fn": list})) == [[value]]
