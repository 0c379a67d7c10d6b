"""Int64 keys numbered in order of arrival: the sparse counterpart of an array over a whole grid."""

import numpy as np
from numpy.typing import NDArray

# K keys per call

Keys = NDArray[np.int64]


class KeyIndex:
    """A map from keys to 0, 1, 2, …, kept as a few sorted runs, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, NDArray[np.int64]]] = []
        self.count = 0

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """(K,) numbers of keys, -1 for unknown ones; sorted keys are found fastest."""
        numbers = np.full(keys.shape, -1, dtype=np.int64)
        for known, number in self._runs:
            at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            np.copyto(numbers, number[at], where=known[at] == keys)
        return numbers

    def add(self, keys: Keys) -> None:
        """Assign numbers to (K,) keys, which must be sorted, distinct and not yet known."""
        if len(keys) == 0:
            return
        self._runs.append((keys, np.arange(self.count, self.count + len(keys))))
        self.count += len(keys)
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            merged, numbers = (np.concatenate(pair) for pair in zip(*self._runs[-2:], strict=True))
            order = np.argsort(merged, kind="stable")
            self._runs[-2:] = [(merged[order], numbers[order])]


def distinct(keys: Keys) -> Keys:
    """The distinct keys, sorted; `np.unique` hashes them, which is slower."""
    keys = np.sort(keys, axis=None)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if len(keys) else keys
