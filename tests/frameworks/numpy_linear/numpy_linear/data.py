"""Batches whose order depends on the seed and the epoch alone, so that any of them is found by its index."""

from __future__ import annotations

import math

import numpy as np

from numpy_linear.trial import Records


class Batches:
    """Records in batches of ``size``, shuffled again for each epoch.

    Args:
        records: Inputs (N, F) and targets (N,).
        size: Records in a batch; the last one of an epoch may hold fewer.
        seed: Determines the shuffling; None leaves the records in order.
    """

    def __init__(self, records: Records, size: int, seed: int | None) -> None:
        self._inputs, self._targets = (np.asarray(part, dtype=np.float64) for part in records)
        self._size, self._seed = size, seed
        self.per_epoch = math.ceil(len(self._targets) / size)

    def batch(self, batch_idx: int) -> Records:
        """Return the batch ``batch_idx``, counted from 0 over all epochs."""
        epoch, place = divmod(batch_idx, self.per_epoch)
        order = np.arange(len(self._targets))
        if self._seed is not None:
            order = np.random.default_rng((self._seed, epoch)).permutation(order)
        chosen = order[place * self._size : (place + 1) * self._size]
        return self._inputs[chosen], self._targets[chosen]
