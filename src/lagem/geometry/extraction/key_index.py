"""A map from int64 keys to consecutive numbers.

It is used instead of an array that has an entry for each node or cell of a grid, if few of these entries would be used.
"""

import numpy as np
from numpy.typing import NDArray

# K keys per call

Keys = NDArray[np.int64]


class KeyIndex:
    """Numbers keys 0, 1, 2, … in the order in which they are added.

    The keys are kept in a few sorted runs, each of which is at least twice as long as the next.

    count: number of keys.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, NDArray[np.int64]]] = []
        self.count = 0

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return (K,) numbers: the number of each key, or -1 if the key is unknown. Sorted keys are found fastest."""
        numbers = np.full(keys.shape, -1, dtype=np.int64)
        for known, number in self._runs:
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            np.copyto(numbers, number[at], where=known[at] == keys)
        return numbers

    def add(self, keys: Keys) -> None:
        """Assign the next numbers to (K,) keys, which must be sorted, distinct and not yet known."""
        if len(keys) == 0:
            return
        self._runs.append((keys, np.arange(self.count, self.count + len(keys))))
        self.count += len(keys)
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            merged, numbers = (np.concatenate(pair) for pair in zip(*self._runs[-2:], strict=True))
            order = np.argsort(merged, kind="stable")
            self._runs[-2:] = [(merged[order], numbers[order])]


def distinct(keys: Keys) -> Keys:
    """Return the distinct keys, sorted. This is faster than `np.unique`, which uses a hash table."""
    keys = np.sort(keys, axis=None)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys
