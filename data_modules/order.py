"""The order of samples: which shape is in which batch of which rank, in training and in validation.

The training order is one endless stream of global batches; a global batch is the batches of all ranks in one step.
Pass e over the data is a permutation keyed by (seed, e). With n global batches in a pass, global batch t is number t
mod n of pass t div n. A run's position in the stream is the number of batches that it has trained on, which Lightning
saves in its checkpoints. So a run that resumes in the middle of an epoch continues with the next batch (Lightning alone
would restart the epoch's data), and a run that resumes at the end of an epoch starts the next epoch. Neither run reads
the batches that were already trained on.

If a machine cannot hold all shards at once, a pass can visit them one after another: see `in_lanes`.

Letters: n global batches in a pass, B shapes in a batch on one rank, W ranks, G = W * B shapes in a global batch.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from lagem.randomness import sample_generator

Key = tuple[int, int]  # (epoch, index), from which a data set makes a sample without any other state


class TrainOrder(Sampler[list[Key]]):
    """The training batches of one rank, each a list of (epoch, index).

    In every step, W ranks with batches of B shapes see the same shapes as one process with batches of W * B shapes.
    The last, incomplete batch of a pass is dropped.
    """

    def __init__(
        self,
        *,
        num_shapes: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        shards: NDArray[np.integer[Any]] | None = None,
        batches_done: Callable[[], int] = lambda: 0,
    ) -> None:
        """Order a training set.

        Args:
            num_shapes: Number of shapes in the set.
            batch_size: B, the number of shapes in a batch on one rank.
            seed: The run's seed.
            rank: Index of this rank.
            world_size: W, the number of ranks.
            shards: (num_shapes,) index of the shard that holds each shape, to order a pass by shards (see `in_lanes`);
                None to shuffle all shapes together.
            batches_done: Called when an iteration starts; returns the number of batches the run has trained on.
        """
        self._global_batch = batch_size * world_size
        if num_shapes < self._global_batch:
            ranks = f" on each of {world_size} ranks" if world_size > 1 else ""
            raise ValueError(
                f"the training set holds {num_shapes} shapes, fewer than one batch of {batch_size}{ranks}. "
                "Lower `data.init_args.batch_size`, or train on more shapes."
            )
        self._num_shapes, self._seed, self._shards, self._batches_done = num_shapes, seed, shards, batches_done
        self.world_size = world_size
        self.settings = {
            "seed": seed,
            "num_shapes": num_shapes,
            "global_batch": self._global_batch,
            "shards": 0 if shards is None else zlib.crc32(np.asarray(shards, dtype=np.int64).tobytes()),
        }
        self._mine = slice(rank * batch_size, (rank + 1) * batch_size)

    def __len__(self) -> int:
        """Return n, the number of batches in a pass.

        A resumed epoch has the same length, because Lightning's batch counter continues after the batches that are
        already done.
        """
        return self._num_shapes // self._global_batch

    def __iter__(self) -> Iterator[list[Key]]:
        return self._batches(self._batches_done())  # called here, because a generator would call it only later

    def _batches(self, start: int) -> Iterator[list[Key]]:
        epoch = -1
        order: NDArray[np.integer[Any]] = np.empty(0, dtype=np.int64)
        for batch in range(start, start + len(self)):
            if batch // len(self) != epoch:
                epoch = batch // len(self)
                order = self._pass(sample_generator(self._seed, epoch, "order of shapes"))
            first = batch % len(self) * self._global_batch
            yield [(epoch, int(index)) for index in order[first : first + self._global_batch][self._mine]]

    def _pass(self, rng: np.random.Generator) -> NDArray[np.integer[Any]]:
        if self._shards is None:
            return rng.permutation(self._num_shapes)
        return in_lanes(self._shards, self._global_batch, rng)


def in_lanes(shards: NDArray[np.integer[Any]], lanes: int, rng: np.random.Generator) -> NDArray[np.integer[Any]]:
    """Order the shapes of a pass so that every rank reads from few shards at a time.

    The shards are shuffled, and so are the shapes within each shard. The resulting sequence of all shapes is cut into G
    equal lanes, and each global batch takes the next shape of every lane. A rank always has the same B neighbouring
    lanes, where B is the number of shapes in its batch. It reads the shards of each lane one after another, so it reads
    from at most B shards at a time, and only the first and the last of its shards are also read by other ranks.

    Args:
        shards: (num_shapes,) index of the shard that holds each shape.
        lanes: G, the number of lanes, which is the number of shapes in a global batch.
        rng: Random generator.

    Returns:
        (n * G,) indices of shapes, one global batch after another. Shapes at the end of the sequence that do not fill
        a batch are dropped.
    """
    turns = rng.permutation(int(shards.max()) + 1)[shards]
    line = np.lexsort((rng.random(len(shards)), turns))
    batches = len(line) // lanes
    return line[: batches * lanes].reshape(lanes, batches).T.ravel()


class ValidationOrder(Sampler[list[Key]]):
    """The validation batches of one rank. A batch holds consecutive shapes, and the ranks take turns to get a batch.

    Each shape is in one batch of one rank. All ranks have the same number of batches, and the sizes of any two batches
    differ by at most one.
    """

    def __init__(self, *, num_shapes: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        """Order a validation set.

        Args:
            num_shapes: Number of shapes in the set.
            batch_size: Maximum number of shapes in a batch on one rank.
            rank: Index of this rank.
            world_size: W, the number of ranks.
        """
        if num_shapes == 0:
            raise ValueError(
                "the validation set is empty. Mark validation shapes in the manifest's column `split`, prepare the "
                "data with a larger --val-share, or train without validation by --trainer.limit_val_batches 0."
            )
        batches = -(-num_shapes // (batch_size * world_size)) * world_size
        if not 0 < batches <= num_shapes:
            raise ValueError(
                f"{num_shapes} validation shapes cannot be divided into batches of at most {batch_size} so that each "
                f"of {world_size} rank(s) has the same number of batches. Validate on more shapes, raise "
                "`data.init_args.batch_size`, or use fewer ranks."
            )
        self._mine = np.array_split(np.arange(num_shapes), batches)[rank::world_size]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter([[(0, int(index)) for index in batch] for batch in self._mine])
