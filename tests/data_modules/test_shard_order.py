"""The order by shards has every shape once and is the same for any number of ranks; each rank reads its shards once."""

import itertools
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from lagem.data_modules.order import TrainOrder
from lagem.randomness import sample_generator

# numbers of shapes differ between shards, as they do once shapes of other splits and categories are left out
SHARDS = np.repeat(np.arange(40), sample_generator(0, 0, "sizes of shards").integers(1, 33, 40))


def orders(world_size: int, batch_size: int, done: int = 0, shards=SHARDS) -> list[TrainOrder]:
    common = {"num_shapes": len(shards), "batch_size": batch_size, "seed": 3, "world_size": world_size}
    return [TrainOrder(rank=rank, shards=shards, batches_done=lambda: done, **common) for rank in range(world_size)]


def loads(order: TrainOrder, cached: int, shards=SHARDS) -> int:
    """Return how many shards a rank downloads in one pass, if an LRU cache holds at most `cached` shards."""
    cache: OrderedDict[int, None] = OrderedDict()
    count = 0
    for _, index in itertools.chain(*order):
        shard = int(shards[index])
        count += shard not in cache
        cache[shard] = None
        cache.move_to_end(shard)
        if len(cache) > cached:
            cache.popitem(last=False)
    return count


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 1), (1, 7), (2, 4), (3, 5), (8, 8)])
def test_a_pass_sees_every_shape_once_up_to_the_last_whole_batch(world_size, batch_size):
    seen = [index for order in orders(world_size, batch_size) for batch in order for _, index in batch]
    assert len(seen) == len(set(seen)) == len(SHARDS) // (world_size * batch_size) * world_size * batch_size


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_see_what_one_process_with_their_batches_sees(world_size):
    together = [list(itertools.chain(*batches)) for batches in zip(*orders(world_size, 4), strict=True)]
    assert together == list(*orders(1, 4 * world_size))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_a_rank_reads_the_shards_of_its_part_once(world_size):
    batch_size, number = 2, len(np.unique(SHARDS))
    counts = [loads(order, cached=2 * batch_size) for order in orders(world_size, batch_size)]
    lanes = world_size * batch_size
    assert sum(counts) < number + lanes  # a lane may begin in the shard in which another lane ends
    assert max(counts) < 2 * number / world_size


def test_shapes_in_random_order_read_shards_again_and_again():
    (order,) = orders(1, 4)
    (mixed,) = (TrainOrder(num_shapes=len(SHARDS), batch_size=4, seed=3),)
    assert loads(mixed, cached=8) > 10 * loads(order, cached=8)


def test_a_batch_comes_from_as_many_shards_as_it_has_shapes():
    shards = np.repeat(np.arange(100), 20)
    for batch in orders(1, 8, shards=shards)[0]:
        assert len({int(shards[index]) for _, index in batch}) == 8


def test_every_pass_has_its_own_order_of_shards_and_of_their_shapes():
    shards = np.repeat(np.arange(30), 16)
    first, second = (
        [index for batch in orders(1, 1, done=done, shards=shards)[0] for _, index in batch]
        for done in (0, len(shards))
    )
    assert [shards[i] for i in first[::16]] != [shards[i] for i in second[::16]]
    of_first_shard = shards[first[0]]
    assert [i for i in first if shards[i] == of_first_shard] != [i for i in second if shards[i] == of_first_shard]


def test_the_order_goes_on_where_the_run_stopped():
    whole = list(itertools.chain(*(orders(2, 3, done=done)[1] for done in (0, len(SHARDS) // 6))))
    for done in (1, 17, len(SHARDS) // 6):
        assert list(orders(2, 3, done=done)[1]) == whole[done : done + len(SHARDS) // 6]


@pytest.mark.parametrize("by_shards", [False, True], ids=["shapes", "shards"])
def test_a_pass_takes_a_few_numbers_a_shape(by_shards):
    number = 200_000
    shards = np.arange(number) // 64 if by_shards else None
    order = TrainOrder(num_shapes=number, batch_size=16, seed=0, shards=shards)
    tracemalloc.start()
    batches = iter(order)
    next(batches)
    first = tracemalloc.get_traced_memory()
    for _ in itertools.islice(batches, 2000):
        pass
    later = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert later[0] < first[0] + 10_000  # memory does not grow during an epoch
    assert first[0] < 3 * 8 * number and later[1] < 6 * 8 * number  # 8-byte numbers per shape: 3 stored, 6 at the peak
