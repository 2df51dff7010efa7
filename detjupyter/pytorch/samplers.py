"""Samplers that repeat, skip, shard and shuffle what other samplers give: of indices, and of whole batches of them."""

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


class _Around(Sampler[Sample]):
    """What draws from another sampler, and is as long as one pass of it."""

    def __init__(self, sampler: Sampler[Sample]) -> None:
        self.sampler = sampler

    @property
    def batch_sampler(self) -> Sampler[Sample]:
        """What it draws from, by the name that samplers of batches have for it."""
        return self.sampler

    def __len__(self) -> int:
        return len(cast("Any", self.sampler))


class _Repeat(_Around[Sample]):
    def __iter__(self) -> Iterator[Sample]:
        while True:
            empty = True
            for sample in self.sampler:
                empty = False
                yield sample
            if empty:
                return


class _Distributed(_Around[Sample]):
    def __init__(self, sampler: Sampler[Sample], num_workers: int | None, rank: int | None, num_replicas: int | None) -> None:
        super().__init__(sampler)
        size = num_replicas if num_workers is None else num_workers  # by the name of 2020, or by today's
        if size is None or size < 1:
            raise ValueError(f"The number of processes is at least 1, not {size!r}.")
        if rank is None or not 0 <= rank < size:
            raise ValueError(f"rank must be in 0..{size - 1}, not {rank}.")
        self.num_workers = self.num_replicas = size
        self.rank = rank

    def __len__(self) -> int:
        whole, rest = divmod(super().__len__(), self.num_workers)
        return whole + (rest > self.rank)

    def __iter__(self) -> Iterator[Sample]:
        return islice(self.sampler, self.rank, None, self.num_workers)


class _Skip(_Around[Sample]):
    def __init__(self, sampler: Sampler[Sample], skip: int, same_length: bool) -> None:
        super().__init__(sampler)
        if skip < 0:
            raise ValueError(f"skip is at least 0, not {skip}.")
        self.skip = skip
        self._same_length = same_length

    def __len__(self) -> int:
        whole = super().__len__()
        return whole if self._same_length else max(whole - self.skip, 0)

    def __iter__(self) -> Iterator[Sample]:
        return islice(self.sampler, self.skip, None)


class _ReproducibleShuffle(_Around[Sample]):
    def __init__(self, sampler: Sampler[Sample], seed: int) -> None:
        super().__init__(sampler)
        self.generator = np.random.RandomState(seed)

    def __iter__(self) -> Iterator[Sample]:
        samples: Any = list(self.sampler)
        self.generator.shuffle(samples)
        return iter(samples)

    def state_dict(self) -> dict[str, Any]:
        """Return where the generator stands, in numbers and text."""
        name, keys, *rest = self.generator.get_state(legacy=True)
        return {"generator": (name, np.asarray(keys).tolist(), *rest)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        name, keys, *rest = state_dict["generator"]
        self.generator.set_state((name, np.array(keys, dtype=np.uint32), *rest))


class RepeatSampler(_Repeat[int]):
    """Begin ``sampler`` anew whenever it ends; the length is that of one pass. One that is empty ends."""

    def __init__(self, sampler: Sampler[int]) -> None:
        super().__init__(sampler)


class RepeatBatchSampler(_Repeat[list[int]]):
    """Begin ``batch_sampler`` anew whenever it ends; the length is that of one pass. One that is empty ends."""

    def __init__(self, batch_sampler: Batches) -> None:
        super().__init__(batch_sampler)


class DistributedSampler(_Distributed[int]):
    """Give every ``num_workers``-th index of ``sampler``, from ``rank`` on.

    Raises:
        ValueError: There is no such rank.
    """

    def __init__(
        self, sampler: Sampler[int], num_workers: int | None = None, rank: int | None = None, *, num_replicas: int | None = None
    ) -> None:
        super().__init__(sampler, num_workers, rank, num_replicas)


class DistributedBatchSampler(_Distributed[list[int]]):
    """Give every ``num_workers``-th batch of ``batch_sampler``, from ``rank`` on.

    In 2020 the argument was called ``num_replicas``.

    Raises:
        ValueError: There is no such rank.
    """

    def __init__(
        self, batch_sampler: Batches, num_workers: int | None = None, rank: int | None = None, *, num_replicas: int | None = None
    ) -> None:
        super().__init__(batch_sampler, num_workers, rank, num_replicas)


class SkipSampler(_Skip[int]):
    """Leave out the first ``skip`` indices of ``sampler``; the length stays that of a whole pass.

    It leaves them out of every pass of its own, so it belongs around what repeats.
    """

    def __init__(self, sampler: Sampler[int], skip: int) -> None:
        super().__init__(sampler, skip, True)


class SkipBatchSampler(_Skip[list[int]]):
    """Leave out the first ``skip`` batches of ``batch_sampler``; the length stays that of a whole pass.

    It leaves them out of every pass of its own, so it belongs around what repeats. With ``same_length=False``, which was the default in
    2020, the length is what is left.
    """

    def __init__(self, batch_sampler: Batches, skip: int, same_length: bool = True) -> None:
        super().__init__(batch_sampler, skip, same_length)


class ReproducibleShuffleSampler(_ReproducibleShuffle[int]):
    """Shuffle the indices of each pass of ``sampler``, by a generator of its own that goes on from pass to pass."""

    def __init__(self, sampler: Sampler[int], seed: int) -> None:
        super().__init__(sampler, seed)


class ReproducibleShuffleBatchSampler(_ReproducibleShuffle[list[int]]):
    """Shuffle the batches of each pass of ``batch_sampler``, by a generator of its own that goes on from pass to pass."""

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
