"""The data loader that a trial returns: it can continue at any batch of an epoch."""

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

    :meth:`get_data_loader` makes torch's loader, which can begin at any batch. Iterating over this object gives one epoch from its
    beginning.

    Raises:
        ValueError: The dataset is iterable, there is no batch size, or arguments exclude each other.
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
            raise ValueError("batch_size is required without a batch_sampler.")
        self.dataset = dataset
        self.batch_size = batch_size if batch_sampler is None else getattr(batch_sampler, "batch_size", None)
        if batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(cast("Any", dataset), generator=generator) if shuffle else SequentialSampler(cast("Any", dataset))
            batch_sampler = BatchSampler(sampler, cast("int", batch_size), drop_last)
        self.batch_sampler: Batches = batch_sampler
        if num_workers and multiprocessing_context is None and sys.platform == "linux":
            # A forked worker shares the modules and data of the kernel. Python 3.14 no longer forks by default; its new processes
            # import everything again, which takes seconds for torch alone.
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
        """Return torch's loader of this process's batches.

        Args:
            repeat: Whether to start over at the end of the data, without end.
            skip: How many of the batches to leave out at the beginning.
            num_replicas: How many processes share the data; each gets every ``num_replicas``-th batch.
            rank: The index of this process, which is also the index of its first batch.
        """
        sampler = adapt_batch_sampler(self.batch_sampler, repeat, skip, num_replicas, rank)
        return torch.utils.data.DataLoader(self.dataset, batch_sampler=sampler, **self.options)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_data_loader())

    def __len__(self) -> int:
        return len(cast("Any", self.batch_sampler))


def guarded(worker_init_fn: Callable[[int], None] | None) -> Callable[[int], None]:
    """Return the function that a worker calls first; it calls the user's ``worker_init_fn`` at its end."""
    return functools.partial(_begin_worker, worker_init_fn)


def _begin_worker(worker_init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    """Make a loader's worker ignore interrupts: Jupyter sends them to all processes of a kernel, and a training must survive them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = torch.utils.data.get_worker_info()
    if worker is not None and isinstance(worker.dataset, SeededDataset):
        # User code that asks get_worker_info() expects its own dataset. Torch's WorkerInfo rejects assignments.
        object.__setattr__(worker, "dataset", worker.dataset.dataset)
    if worker_init_fn is not None:
        worker_init_fn(worker_id)
