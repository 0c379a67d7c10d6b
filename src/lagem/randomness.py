"""Random generators for choices about a sample, keyed by (seed, epoch, sample id).

The choices never depend on the rank, the worker or the position of the sample. So one process, two ranks and a resumed
run all draw the same numbers.
"""

import hashlib

import numpy as np


def sample_generator(seed: int, epoch: int, sample_id: str) -> np.random.Generator:
    """Return the random generator of one sample in one epoch.

    Args:
        seed: The run's seed, any non-negative integer.
        epoch: The epoch; 0 for choices that are made once, as in preparation and evaluation.
        sample_id: Id of the shape, unique in its data set.
    """
    digest = hashlib.blake2b(sample_id.encode(), digest_size=16).digest()
    return np.random.default_rng([seed, epoch, *np.frombuffer(digest, dtype=np.uint32)])


def sample_seed(seed: int, epoch: int, sample_id: str) -> int:
    """Return a seed of one sample in one epoch, for generators that take a number; keyed as in `sample_generator`."""
    return int(sample_generator(seed, epoch, sample_id).integers(2**62))
