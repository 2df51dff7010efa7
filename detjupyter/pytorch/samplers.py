"""Samplers that wrap another sampler, of indices or of batches, and repeat, skip, shard or shuffle what it yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np
from torch.utils.data import Sampler

__all__ = [
    "DistributedBatchSampler",
    "DistributedSampler",
    "RepeatBatchSampler",
    "RepeatSampler",
    "ReproducibleShuffleBatchSampler",
    "ReproducibleShuffleSampler",
    "SkipBatchSampler",
    "SkipSampler",
    "adapt_batch_sampler",
]

Sample = TypeVar("Sample")
Batches = Sampler[list[int]]


class _Wrapper(Sampler[Sample]):
    """A sampler that draws from another one, and has the length of that one's epoch."""

    def __init__(self, sampler: Sampler[Sample]) -> None:
        self.sampler = sampler

    @property
    def batch_sampler(self) -> Sampler[Sample]:
        """The wrapped sampler, under the name that Determined's batch samplers use."""
        return self.sampler

    def __len__(self) -> int:
        return len(cast("Any", self.sampler))


class _Repeat(_Wrapper[Sample]):
    def __iter__(self) -> Iterator[Sample]:
        while True:
            empty = True
            for sample in self.sampler:
                empty = False
                yield sample
            if empty:  # else this would search for a first sample forever
                return


class _Distributed(_Wrapper[Sample]):
    def __init__(self, sampler: Sampler[Sample], num_workers: int | None, rank: int | None, num_replicas: int | None) -> None:
        super().__init__(sampler)
        size = num_replicas if num_workers is None else num_workers  # the argument's name of 2020, or today's
        if size is None or size < 1:
            raise ValueError(f"The number of processes must be at least 1, got {size!r}.")
        if rank is None or not 0 <= rank < size:
            raise ValueError(f"rank must be in 0..{size - 1}, got {rank}.")
        self.num_workers = self.num_replicas = size
        self.rank = rank

    def __len__(self) -> int:
        whole, rest = divmod(super().__len__(), self.num_workers)
        return whole + (rest > self.rank)

    def __iter__(self) -> Iterator[Sample]:
        return islice(self.sampler, self.rank, None, self.num_workers)


class _Skip(_Wrapper[Sample]):
    def __init__(self, sampler: Sampler[Sample], skip: int, same_length: bool) -> None:
        super().__init__(sampler)
        if skip < 0:
            raise ValueError(f"skip must be at least 0, got {skip}.")
        self.skip = skip
        self._same_length = same_length

    def __len__(self) -> int:
        whole = super().__len__()
        return whole if self._same_length else max(whole - self.skip, 0)

    def __iter__(self) -> Iterator[Sample]:
        return islice(self.sampler, self.skip, None)


class _ReproducibleShuffle(_Wrapper[Sample]):
    def __init__(self, sampler: Sampler[Sample], seed: int) -> None:
        super().__init__(sampler)
        self.generator = np.random.RandomState(seed)

    def __iter__(self) -> Iterator[Sample]:
        samples: Any = list(self.sampler)
        self.generator.shuffle(samples)
        return iter(samples)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the generator, in numbers and text only."""
        name, keys, *rest = self.generator.get_state(legacy=True)
        return {"generator": (name, np.asarray(keys).tolist(), *rest)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        name, keys, *rest = state_dict["generator"]
        self.generator.set_state((name, np.array(keys, dtype=np.uint32), *rest))


class RepeatSampler(_Repeat[int]):
    """Restart ``sampler`` whenever it ends. The length is that of one epoch. An empty ``sampler`` is not repeated."""

    def __init__(self, sampler: Sampler[int]) -> None:
        super().__init__(sampler)


class RepeatBatchSampler(_Repeat[list[int]]):
    """Restart ``batch_sampler`` whenever it ends. The length is that of one epoch. An empty ``batch_sampler`` is not repeated."""

    def __init__(self, batch_sampler: Batches) -> None:
        super().__init__(batch_sampler)


class DistributedSampler(_Distributed[int]):
    """Yield every ``num_workers``-th index of ``sampler``, beginning with index ``rank``.

    Raises:
        ValueError: ``rank`` is not in 0..``num_workers`` - 1.
    """

    def __init__(
        self, sampler: Sampler[int], num_workers: int | None = None, rank: int | None = None, *, num_replicas: int | None = None
    ) -> None:
        super().__init__(sampler, num_workers, rank, num_replicas)


class DistributedBatchSampler(_Distributed[list[int]]):
    """Yield every ``num_workers``-th batch of ``batch_sampler``, beginning with batch ``rank``.

    Determined called the argument ``num_replicas`` in 2020.

    Raises:
        ValueError: ``rank`` is not in 0..``num_workers`` - 1.
    """

    def __init__(
        self, batch_sampler: Batches, num_workers: int | None = None, rank: int | None = None, *, num_replicas: int | None = None
    ) -> None:
        super().__init__(batch_sampler, num_workers, rank, num_replicas)


class SkipSampler(_Skip[int]):
    """Skip the first ``skip`` indices of ``sampler``; the length stays that of a whole epoch.

    Every iteration skips them. To skip them only once, wrap the repeated sampler: ``SkipSampler(RepeatSampler(sampler), skip)``.
    """

    def __init__(self, sampler: Sampler[int], skip: int) -> None:
        super().__init__(sampler, skip, True)


class SkipBatchSampler(_Skip[list[int]]):
    """Skip the first ``skip`` batches of ``batch_sampler``; the length stays that of a whole epoch.

    Every iteration skips them. To skip them only once, wrap the repeated sampler: ``SkipBatchSampler(RepeatBatchSampler(sampler), skip)``.
    With ``same_length=False``, Determined's default in 2020, the length is reduced by ``skip``.
    """

    def __init__(self, batch_sampler: Batches, skip: int, same_length: bool = True) -> None:
        super().__init__(batch_sampler, skip, same_length)


class ReproducibleShuffleSampler(_ReproducibleShuffle[int]):
    """Shuffle the indices of each epoch of ``sampler``, with a generator that is seeded once and continues from epoch to epoch."""

    def __init__(self, sampler: Sampler[int], seed: int) -> None:
        super().__init__(sampler, seed)


class ReproducibleShuffleBatchSampler(_ReproducibleShuffle[list[int]]):
    """Shuffle the batches of each epoch of ``batch_sampler``, with a generator that is seeded once and continues from epoch to epoch."""

    def __init__(self, batch_sampler: Batches, seed: int) -> None:
        super().__init__(batch_sampler, seed)


def adapt_batch_sampler(batch_sampler: Batches, repeat: bool = False, skip: int = 0, num_replicas: int = 1, rank: int = 0) -> Batches:
    """Wrap ``batch_sampler`` so that it repeats, shards and skips, applied in this order; each only if the arguments ask for it."""
    if repeat:
        batch_sampler = RepeatBatchSampler(batch_sampler)
    if num_replicas > 1:
        batch_sampler = DistributedBatchSampler(batch_sampler, num_replicas, rank)
    if skip > 0:
        batch_sampler = SkipBatchSampler(batch_sampler, skip)
    return batch_sampler
