"""Data loaders that can repeat, skip and shard, and what moves batches to the device."""

from __future__ import annotations

import functools
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Union, cast

import numpy as np
import torch
from torch.utils.data import BatchSampler, Dataset, IterableDataset, RandomSampler, Sampler, SequentialSampler

TorchData = Union[dict[str, torch.Tensor], Sequence[torch.Tensor], torch.Tensor]
Batches = Sampler[list[int]]


class DataLoader:
    """A description of a data loader, with the arguments of ``torch.utils.data.DataLoader``.

    The loader proper is made by :meth:`get_data_loader`, which knows where in the data a training stands. Iterating over this
    object gives one plain pass.

    Raises:
        ValueError: an iterable dataset, no batch size, or arguments that exclude each other.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Sampler[int] | None = None,
        batch_sampler: Batches | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,  # a start method's name or a context, as torch takes it
        generator: torch.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        if isinstance(dataset, IterableDataset):
            raise ValueError(
                "detjupyter.pytorch.DataLoader needs a dataset with a length and an index. Use torch.utils.data.DataLoader with "
                "context.experimental.disable_dataset_reproducibility_checks() for an IterableDataset."
            )
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last.")
        if sampler is not None and shuffle:
            raise ValueError("sampler excludes shuffle.")
        if batch_sampler is None and batch_size is None:
            raise ValueError("A batch_size is needed where there is no batch_sampler.")
        self.dataset = dataset
        self.batch_size = batch_size
        if batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(cast("Any", dataset), generator=generator) if shuffle else SequentialSampler(cast("Any", dataset))
            batch_sampler = BatchSampler(sampler, cast("int", batch_size), drop_last)
        self.batch_sampler: Batches = batch_sampler
        if num_workers and multiprocessing_context is None and sys.platform == "linux":
            # Forked workers have all that is loaded at hand. Python 3.14 would start them anew, which takes seconds for torch alone.
            multiprocessing_context = "fork"
        self._options: dict[str, Any] = {
            "num_workers": num_workers,
            "collate_fn": collate_fn,
            "pin_memory": pin_memory,
            "timeout": timeout,
            "worker_init_fn": functools.partial(_begin_worker, worker_init_fn) if num_workers else worker_init_fn,
            "multiprocessing_context": multiprocessing_context,
            "generator": generator,
            "persistent_workers": persistent_workers,
        }
        if prefetch_factor is not None:
            self._options["prefetch_factor"] = prefetch_factor

    def get_data_loader(
        self, repeat: bool = False, skip: int = 0, num_replicas: int = 1, rank: int = 0
    ) -> torch.utils.data.DataLoader[Any]:
        """Return a loader of every ``num_replicas``-th batch from ``rank`` on, without its first ``skip``, over and over if ``repeat``."""
        sampler = adapt_batch_sampler(self.batch_sampler, repeat, skip, num_replicas, rank)
        return torch.utils.data.DataLoader(self.dataset, batch_sampler=sampler, **self._options)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_data_loader())

    def __len__(self) -> int:
        return len(cast("Any", self.batch_sampler))


def _begin_worker(worker_init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    """Have a loader's worker ignore interrupts: Jupyter sends them to all of a kernel's processes, and a training is to outlive them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker_init_fn is not None:
        worker_init_fn(worker_id)


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


def data_length(batch: Any) -> int:
    """Return how many records ``batch`` holds: the length of its first tensor or array.

    Raises:
        ValueError: the batch is an empty container.
        TypeError: the batch is neither a tensor, an array nor a container of them.
    """
    first = batch
    if isinstance(batch, (list, tuple)):
        first = batch[0] if batch else None
    elif isinstance(batch, Mapping):
        first = next(iter(batch.values()), None)
    if first is None:
        raise ValueError("A batch that is an empty container has no length.")
    if isinstance(first, (torch.Tensor, np.ndarray)) and first.ndim:
        return int(first.shape[0])  # len() of a tensor takes five times as long, and this is asked for every batch
    if first is not batch:
        return len(first)
    raise TypeError(f"A batch of type {type(batch).__name__} has no length that we know; override get_batch_length().")


_unmovable_types: set[type] = set()


def to_device(data: Any, device: torch.device) -> Any:
    """Return ``data`` with every tensor and numeric array in it on ``device``; strings and the like stay as they are.

    Dicts, lists and tuples are walked through. A type that cannot be moved is warned of once.
    """
    if isinstance(data, torch.Tensor):
        return data if data.device == device else data.to(device, non_blocking=True)
    if hasattr(data, "to"):  # before the containers: a packed sequence is a tuple that knows what must stay on the host
        return data.to(device)
    if isinstance(data, dict):
        return {name: to_device(value, device) for name, value in data.items()}
    if isinstance(data, list):
        return [to_device(value, device) for value in data]
    if isinstance(data, tuple):
        moved = [to_device(value, device) for value in data]
        return type(data)(*moved) if hasattr(data, "_fields") else tuple(moved)
    if isinstance(data, np.ndarray) and data.dtype.kind in "fciub":
        return torch.from_numpy(data).to(device)
    if type(data) not in _unmovable_types:
        _unmovable_types.add(type(data))
        warnings.warn(f"Values of type {type(data).__name__} in a batch stay where they are.", stacklevel=2)
    return data
