"""A dataset for the workers of a loader, whose random numbers depend only on the batch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from detjupyter.pytorch.data.generators import Generator, find_generators, seed_generators
from detjupyter.pytorch.randomness import mixed_seed

_WORKER = 2  # distinguishes these seeds from those for other purposes
# Torch raises a worker's StopIteration again in the kernel's process, where it would end the data silently.
_ENDED = "The dataset raised StopIteration."


class NumberedBatch:
    """The indices of one batch, and the batch's number in the training, counted from 0."""

    __slots__ = ("indices", "number")

    def __init__(self, number: int, indices: Any) -> None:  # Any: batch samplers may yield any kind of indices
        self.number = number
        self.indices = indices


class SeededDataset(Dataset[Any]):
    """The dataset as workers see it: before each batch, every random state is seeded by the trial's seed and the batch's number.

    The augmentation of a batch then depends neither on the worker that fetches it, nor on the number of workers, nor on interruptions of
    the training. Generators that the dataset keeps as attributes are seeded, too: forked workers have identical copies of them.
    """

    def __init__(self, dataset: Any, seed: int) -> None:  # Any: anything that can be indexed
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
        """Return one item of a dataset whose items are whole batches."""
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
    """Return the records at ``indices``: in one call if the dataset has ``__getitems__``, as torch's loader does, else one by one."""
    fetch_all = getattr(dataset, "__getitems__", None)
    return fetch_all(indices) if fetch_all else [dataset[index] for index in indices]
