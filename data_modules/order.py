"""The order of samples: which shape is in which batch of which rank, in training and in validation.

The training order is one endless stream of global batches. Pass e over the data is a permutation keyed by
(seed, e); global batch t is number t mod n of pass t div n. A run's place in the stream is the number of batches
that it has trained on, which Lightning keeps in its checkpoint. So a run that resumes in the middle of an epoch
goes on with the next batch (Lightning alone would begin the epoch's data again), one that resumes at the end of an
epoch begins the next, and nothing is read to get there.

Letters: n batches of one pass, B shapes of a batch on one rank, W ranks.
"""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

from lagem.randomness import sample_generator

Key = tuple[int, int]  # (epoch, index): all a data set needs to make a sample, so workers hold no state


class TrainOrder(Sampler[list[Key]]):
    """Batches of (epoch, index) of one rank.

    W ranks with batches of B see in every step what one process with batches of W * B sees. The last, incomplete
    batch of a pass is dropped.
    """

    def __init__(
        self,
        *,
        num_shapes: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches_done: Callable[[], int] = lambda: 0,
    ) -> None:
        """Order of a training set.

        Args:
            num_shapes: Shapes in the set.
            batch_size: B, shapes of a batch on one rank.
            seed: The run's seed.
            rank: Which rank this is.
            world_size: W.
            batches_done: Asked whenever an iteration begins: how many batches the run has trained on.
        """
        self._global_batch = batch_size * world_size
        if num_shapes < self._global_batch:
            raise ValueError(
                f"the training set holds {num_shapes} shapes, fewer than one batch of {batch_size} on each of "
                f"{world_size} rank(s). Lower `data.init_args.batch_size`, or train on more shapes."
            )
        self._num_shapes, self._seed, self._batches_done = num_shapes, seed, batches_done
        self.settings = {"seed": seed, "num_shapes": num_shapes, "global_batch": self._global_batch}
        self._mine = slice(rank * batch_size, (rank + 1) * batch_size)

    def __len__(self) -> int:
        """n, also where an epoch is resumed: Lightning adds the batches it has counted before."""
        return self._num_shapes // self._global_batch

    def __iter__(self) -> Iterator[list[Key]]:
        return self._batches(self._batches_done())  # asked now, not at the first batch

    def _batches(self, start: int) -> Iterator[list[Key]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for batch in range(start, start + len(self)):
            if batch // len(self) != epoch:
                epoch = batch // len(self)
                order = sample_generator(self._seed, epoch, "order of shapes").permutation(self._num_shapes)
            first = batch % len(self) * self._global_batch
            yield [(epoch, int(index)) for index in order[first : first + self._global_batch][self._mine]]


class ValidationOrder(Sampler[list[Key]]):
    """Every shape once, in order, in equally many batches on every rank; their sizes differ by one at most."""

    def __init__(self, *, num_shapes: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        """Order of a validation set.

        Args:
            num_shapes: Shapes in the set.
            batch_size: Most shapes of a batch.
            rank: Which rank this is.
            world_size: W.
        """
        if num_shapes == 0:
            raise ValueError(
                "the validation set is empty. Name validation shapes in the manifest's column `split`, prepare with a "
                "larger --val-share, or train without by --trainer.limit_val_batches 0."
            )
        batches = -(-num_shapes // (batch_size * world_size)) * world_size
        if not 0 < batches <= num_shapes:
            raise ValueError(
                f"{num_shapes} validation shapes do not split into equally many batches of at most {batch_size} on "
                f"each of {world_size} rank(s). Validate on more shapes, raise `data.init_args.batch_size`, or use "
                "fewer ranks."
            )
        self._mine = np.array_split(np.arange(num_shapes), batches)[rank::world_size]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[list[Key]]:
        return iter([[(0, int(index)) for index in batch] for batch in self._mine])
