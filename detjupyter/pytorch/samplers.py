"""Samplers that repeat, skip, shard and shuffle what other samplers give: of indices, and of whole batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class _Repeat(Sampler[Sample]):
    """Begin a sampler anew whenever it ends; the length is that of one pass."""

    def __init__(self, inner: Sampler[Sample]) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(cast("Any", self._inner))

    def __iter__(self) -> Iterator[Sample]:
        while True:
            empty = True
            for sample in self._inner:
                empty = False
                yield sample
            if empty:
                return


class _Distributed(Sampler[Sample]):
    """Give every ``num_workers``-th sample, from ``rank`` on."""

    def __init__(self, inner: Sampler[Sample], num_workers: int | None, rank: int, num_replicas: int | None) -> None:
        size = num_replicas if num_workers is None else num_workers  # by the name of 2020, or by today's
        if size is None or size < 1:
            raise ValueError(f"The number of processes is at least 1, not {size!r}.")
        if not 0 <= rank < size:
            raise ValueError(f"rank must be in 0..{size - 1}, not {rank}.")
        self._inner = inner
        self.num_workers = self.num_replicas = size
        self.rank = rank

    def __len__(self) -> int:
        whole, rest = divmod(len(cast("Any", self._inner)), self.num_workers)
        return whole + (rest > self.rank)

    def __iter__(self) -> Iterator[Sample]:
        for index, sample in enumerate(self._inner):
            if index % self.num_workers == self.rank:
                yield sample


class _Skip(Sampler[Sample]):
    """Leave out the first ``skip`` samples of a pass, so it belongs around what repeats; the length stays that of a whole pass."""

    def __init__(self, inner: Sampler[Sample], skip: int) -> None:
        self._inner = inner
        self.skip = skip

    def __len__(self) -> int:
        return len(cast("Any", self._inner))

    def __iter__(self) -> Iterator[Sample]:
        samples = iter(self._inner)
        for _ in range(self.skip):
            if next(samples, _END) is _END:
                break
        yield from samples


class _ReproducibleShuffle(Sampler[Sample]):
    """Shuffle each pass, by a generator of its own that goes on from pass to pass."""

    def __init__(self, inner: Sampler[Sample], seed: int) -> None:
        self._inner = inner
        self.generator = np.random.RandomState(seed)

    def __len__(self) -> int:
        return len(cast("Any", self._inner))

    def __iter__(self) -> Iterator[Sample]:
        samples = list(self._inner)
        for index in self.generator.permutation(len(samples)):
            yield samples[index]

    def state_dict(self) -> dict[str, Any]:
        """Return where the generator stands."""
        return {"generator": self.generator.get_state(legacy=False)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.generator.set_state(state_dict["generator"])


class RepeatSampler(_Repeat[int]):
    """Begin ``sampler`` anew whenever it ends; the length is that of one pass."""

    def __init__(self, sampler: Sampler[int]) -> None:
        super().__init__(sampler)


class RepeatBatchSampler(_Repeat[list[int]]):
    """Begin ``batch_sampler`` anew whenever it ends; the length is that of one pass."""

    def __init__(self, batch_sampler: Batches) -> None:
        super().__init__(batch_sampler)


class DistributedSampler(_Distributed[int]):
    """Give every ``num_workers``-th index of ``sampler``, from ``rank`` on."""

    def __init__(self, sampler: Sampler[int], num_workers: int | None = None, rank: int = 0, *, num_replicas: int | None = None) -> None:
        super().__init__(sampler, num_workers, rank, num_replicas)


class DistributedBatchSampler(_Distributed[list[int]]):
    """Give every ``num_workers``-th batch of ``batch_sampler``, from ``rank`` on."""

    def __init__(self, batch_sampler: Batches, num_workers: int | None = None, rank: int = 0, *, num_replicas: int | None = None) -> None:
        super().__init__(batch_sampler, num_workers, rank, num_replicas)


class SkipSampler(_Skip[int]):
    """Leave out the first ``skip`` indices of the first pass; the length stays that of a whole pass."""

    def __init__(self, sampler: Sampler[int], skip: int) -> None:
        super().__init__(sampler, skip)


class SkipBatchSampler(_Skip[list[int]]):
    """Leave out the first ``skip`` batches of the first pass; the length stays that of a whole pass.

    ``same_length`` is of 2020, when the length could shrink; it does nothing.
    """

    def __init__(self, batch_sampler: Batches, skip: int, same_length: bool = True) -> None:
        del same_length
        super().__init__(batch_sampler, skip)


class ReproducibleShuffleSampler(_ReproducibleShuffle[int]):
    """Shuffle the indices of each pass of ``sampler``, by a generator of its own."""

    def __init__(self, sampler: Sampler[int], seed: int) -> None:
        super().__init__(sampler, seed)


class ReproducibleShuffleBatchSampler(_ReproducibleShuffle[list[int]]):
    """Shuffle the batches of each pass of ``batch_sampler``, by a generator of its own."""

    def __init__(self, batch_sampler: Batches, seed: int) -> None:
        super().__init__(batch_sampler, seed)


def adapt_batch_sampler(batch_sampler: Batches, repeat: bool = False, skip: int = 0, num_replicas: int = 1, rank: int = 0) -> Batches:
    """Return ``batch_sampler`` repeated, then sharded, then without its first ``skip`` batches, as asked, in this order."""
    if repeat:
        batch_sampler = RepeatBatchSampler(batch_sampler)
    if num_replicas > 1:
        batch_sampler = DistributedBatchSampler(batch_sampler, num_replicas, rank)
    if skip > 0:
        batch_sampler = SkipBatchSampler(batch_sampler, skip)
    return batch_sampler


_END = object()
