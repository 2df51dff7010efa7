"""Samplers that repeat, skip and shard what other samplers give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from torch.utils.data import Sampler

Batches = Sampler[list[int]]


class RepeatBatchSampler(Batches):
    """Begin ``batch_sampler`` anew whenever it ends; the length is that of one pass."""

    def __init__(self, batch_sampler: Batches) -> None:
        self.batch_sampler = batch_sampler

    def __len__(self) -> int:
        return len(cast("Any", self.batch_sampler))

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            empty = True
            for batch in self.batch_sampler:
                empty = False
                yield batch
            if empty:
                return


class DistributedBatchSampler(Batches):
    """Give every ``num_workers``-th batch of ``batch_sampler``, from ``rank`` on."""

    def __init__(self, batch_sampler: Batches, num_workers: int, rank: int) -> None:
        if not 0 <= rank < num_workers:
            raise ValueError(f"rank must be in 0..{num_workers - 1}, not {rank}.")
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.rank = rank

    def __len__(self) -> int:
        whole, rest = divmod(len(cast("Any", self.batch_sampler)), self.num_workers)
        return whole + (rest > self.rank)

    def __iter__(self) -> Iterator[list[int]]:
        for index, batch in enumerate(self.batch_sampler):
            if index % self.num_workers == self.rank:
                yield batch


class SkipBatchSampler(Batches):
    """Leave out the first ``skip`` batches of the first pass; the length stays that of a whole pass."""

    def __init__(self, batch_sampler: Batches, skip: int) -> None:
        self.batch_sampler = batch_sampler
        self.skip = skip

    def __len__(self) -> int:
        return len(cast("Any", self.batch_sampler))

    def __iter__(self) -> Iterator[list[int]]:
        batches = iter(self.batch_sampler)
        for _ in range(self.skip):
            next(batches, None)
        yield from batches


def adapt_batch_sampler(batch_sampler: Batches, repeat: bool = False, skip: int = 0, num_replicas: int = 1, rank: int = 0) -> Batches:
    """Return ``batch_sampler`` repeated, sharded and with its first batches skipped, in this order."""
    if repeat:
        batch_sampler = RepeatBatchSampler(batch_sampler)
    if num_replicas > 1:
        batch_sampler = DistributedBatchSampler(batch_sampler, num_replicas, rank)
    if skip > 0:
        batch_sampler = SkipBatchSampler(batch_sampler, skip)
    return batch_sampler
