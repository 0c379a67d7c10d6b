"""One rule for every random choice about a sample: it is keyed by (seed, epoch, sample id).

It never depends on rank, worker or position, so one process, two ranks and a resumed run draw the same.
"""

import hashlib

import numpy as np


def sample_generator(seed: int, epoch: int, sample_id: str) -> np.random.Generator:
    """Random generator of one sample in one epoch.

    Args:
        seed: The run's seed, any non-negative integer.
        epoch: Epoch of the draw; 0 for draws that happen once (preparation, evaluation).
        sample_id: Id of the shape, unique in its data set.
    """
    digest = hashlib.blake2b(sample_id.encode(), digest_size=16).digest()
    return np.random.default_rng([seed, epoch, *np.frombuffer(digest, dtype=np.uint32)])


def sample_seed(seed: int, epoch: int, sample_id: str) -> int:
    """A seed of one sample in one epoch, for generators that take a number; keyed like `sample_generator`."""
    return int(sample_generator(seed, epoch, sample_id).integers(2**62))
