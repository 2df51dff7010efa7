"""A dataset in a loader's worker, whose random numbers depend on the batch alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from detjupyter.pytorch.data.generators import Generator, find_generators, seed_generators
from detjupyter.pytorch.randomness import mixed_seed

_WORKER = 2  # tells these seeds from those of other purposes
# Torch raises a worker's StopIteration again in the kernel's process, where it would end the data without a word.
_ENDED = "The dataset raised StopIteration."


class NumberedBatch:
    """The indices of one batch, and which batch of the training it is."""

    __slots__ = ("indices", "number")

    def __init__(self, number: int, indices: Any) -> None:  # Any: whatever the batch sampler gave
        self.number = number
        self.indices = indices


class SeededDataset(Dataset[Any]):
    """What a worker fetches from: for each batch every random state is seeded by the trial's seed and the batch's number.

    Augmentation is then the same whichever worker fetches a batch, however many there are, and whether the training was interrupted
    before it. Also seeded are the generators that the dataset keeps as attributes; forked workers would all draw the same from them.
    """

    def __init__(self, dataset: Any, seed: int) -> None:  # Any: whatever can be indexed
        self.dataset = dataset
        self._seed = seed
        self._generators: dict[str, Generator] | None = None  # found in the worker

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, batch: NumberedBatch) -> Any:
        """Return the records of a batch."""
        self._seed_for(batch.number)
        try:
            return fetch(self.dataset, batch.indices)
        except StopIteration as error:
            raise RuntimeError(_ENDED) from error

    def __getitem__(self, batch: NumberedBatch) -> Any:
        """Return what stands at one index of a dataset whose items are whole batches."""
        self._seed_for(batch.number)
        try:
            return self.dataset[batch.indices]
        except StopIteration as error:
            raise RuntimeError(_ENDED) from error

    def _seed_for(self, number: int) -> None:
        if self._generators is None:
            self._generators = find_generators(self.dataset)
        seed = mixed_seed(self._seed, _WORKER, number)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if self._generators:
            seed_generators(self._generators, seed)


def fetch(dataset: Any, indices: Sequence[Any]) -> Any:
    """Return the records of ``indices``, all at once where the dataset can, as torch's loader does."""
    fetch_all = getattr(dataset, "__getitems__", None)
    return fetch_all(indices) if fetch_all else [dataset[index] for index in indices]
