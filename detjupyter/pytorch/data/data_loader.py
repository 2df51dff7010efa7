"""Data loaders that know where in the data a training stands."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch.utils.data import BatchSampler, Dataset, IterableDataset, RandomSampler, Sampler, SequentialSampler

from detjupyter.pytorch.data.seeded_dataset import SeededDataset
from detjupyter.pytorch.samplers import Batches, adapt_batch_sampler


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
        self.batch_size = batch_size if batch_sampler is None else getattr(batch_sampler, "batch_size", None)
        if batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(cast("Any", dataset), generator=generator) if shuffle else SequentialSampler(cast("Any", dataset))
            batch_sampler = BatchSampler(sampler, cast("int", batch_size), drop_last)
        self.batch_sampler: Batches = batch_sampler
        if num_workers and multiprocessing_context is None and sys.platform == "linux":
            # Forked workers have all that is loaded at hand. Python 3.14 would start them anew, which takes seconds for torch alone.
            multiprocessing_context = "fork"
        self.options: dict[str, Any] = {
            "num_workers": num_workers,
            "collate_fn": collate_fn,
            "pin_memory": pin_memory,
            "timeout": timeout,
            "worker_init_fn": guarded(worker_init_fn) if num_workers else worker_init_fn,
            "multiprocessing_context": multiprocessing_context,
            "generator": generator,
            "persistent_workers": persistent_workers,
        }
        """The arguments of torch's loader that do not concern the order of the records."""
        if prefetch_factor is not None:
            self.options["prefetch_factor"] = prefetch_factor

    def get_data_loader(
        self, repeat: bool = False, skip: int = 0, num_replicas: int = 1, rank: int = 0
    ) -> torch.utils.data.DataLoader[Any]:
        """Return a loader of every ``num_replicas``-th batch from ``rank`` on, without its first ``skip``, over and over if ``repeat``."""
        sampler = adapt_batch_sampler(self.batch_sampler, repeat, skip, num_replicas, rank)
        return torch.utils.data.DataLoader(self.dataset, batch_sampler=sampler, **self.options)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_data_loader())

    def __len__(self) -> int:
        return len(cast("Any", self.batch_sampler))


def guarded(worker_init_fn: Callable[[int], None] | None) -> Callable[[int], None]:
    """Return what a worker begins with: our part, and then the user's."""
    return functools.partial(_begin_worker, worker_init_fn)


def _begin_worker(worker_init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    """Have a loader's worker ignore interrupts: Jupyter sends them to all of a kernel's processes, and a training is to outlive them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = torch.utils.data.get_worker_info()
    if worker is not None and isinstance(worker.dataset, SeededDataset):
        object.__setattr__(worker, "dataset", worker.dataset.dataset)  # what the user's functions know; torch's class is frozen
    if worker_init_fn is not None:
        worker_init_fn(worker_id)
