"""The batches of a training, in the same order whether or not the training was interrupted.

A training iterates over its data epoch after epoch. The sampler runs in a separate random stream, so its order in an epoch depends only on
the trial's seed and the number of the epoch. The stream can therefore begin at any batch: it begins that batch's epoch, and skips the
indices that were trained already without loading their records. A dataset in the kernel's process draws from the trial's random states,
which a checkpoint contains; a dataset in a worker is seeded for every batch.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    default_convert,
)

from detjupyter.pytorch.data.batches import to_device
from detjupyter.pytorch.data.counters import Counters, parts_of_loader, samplers_of
from detjupyter.pytorch.data.data_loader import DataLoader, guarded
from detjupyter.pytorch.data.generators import find_generators, set_states, states_of
from detjupyter.pytorch.data.seeded_dataset import NumberedBatch, SeededDataset, fetch
from detjupyter.pytorch.randomness import RandomStream

_HOST = torch.device("cpu")
_SAMPLER, _LOADER = 1, 3  # distinguish the seeds of one purpose from those of others; 2 is a worker's
_MAX_INDICES_AHEAD = 1 << 16
_MAX_BATCHES_AHEAD = 1024
_MAX_BATCHES_BEHIND = 1 << 14  # how far the training can lag behind the newest epoch that workers have begun to fetch
# Samplers that draw everything at the beginning of an epoch, or give the same indices if they are asked ahead of the training.
_PREDICTABLE = (BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)


@dataclass(frozen=True, slots=True)
class EpochStart:
    """The beginning of an epoch, from which the epoch can be repeated.

    Attributes:
        epoch: The number of the epoch, from 0.
        first_batch: The number of its first batch in the whole training, from 0.
        generators: The states that the generators among the sampler's attributes had, by dotted path.
        counters: The values that the sampler's counters had, where they differed from the initial ones.
    """

    epoch: int
    first_batch: int
    generators: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


class EpochLog:
    """The beginnings of recent epochs. Workers can be several epochs ahead of the training.

    Args:
        on_length: Called with the number of batches of every complete epoch.
    """

    def __init__(self, on_length: Callable[[int], None] = lambda _: None) -> None:
        self._on_length = on_length
        self._starts: deque[EpochStart] = deque()

    def begin(self, start: EpochStart) -> None:
        """Record an epoch, and drop those that the training must have completed."""
        if self._starts:
            self._on_length(start.first_batch - self._starts[-1].first_batch)
        self._starts.append(start)
        while len(self._starts) > 1 and self._starts[1].first_batch <= start.first_batch - _MAX_BATCHES_BEHIND:
            self._starts.popleft()

    def start_of(self, batch_idx: int) -> EpochStart | None:
        """Return the beginning of the batch's epoch, None if it is not recorded here; drops earlier epochs."""
        while len(self._starts) > 1 and self._starts[1].first_batch <= batch_idx:
            self._starts.popleft()
        return self._starts[0] if self._starts and self._starts[0].first_batch <= batch_idx else None


class EmptyDataError(Exception):
    """An epoch of the data contained no batch."""


@dataclass(frozen=True, slots=True)
class Source:
    """The parts of a loader over an indexed dataset, either ``detjupyter.pytorch.DataLoader`` or torch's own class.

    Attributes:
        dataset: The dataset.
        sampler: Yields the indices of a batch; single indices where an item of the dataset is a whole batch.
        items_are_batches: Whether an item of the dataset is a whole batch.
        options: The other arguments of torch's loader.
        counters: The counters of the sampler.
    """

    dataset: Any
    sampler: Any
    items_are_batches: bool
    options: Mapping[str, Any]
    counters: Counters

    @classmethod
    def of(cls, loader: Any) -> Source | None:
        """Return the parts of a loader, None if it has an iterable dataset or is of the user's own class."""
        if isinstance(loader, DataLoader):
            return cls(loader.dataset, loader.batch_sampler, False, loader.options, Counters(loader.batch_sampler, samplers_of))
        if type(loader) is not torch.utils.data.DataLoader or isinstance(loader.dataset, IterableDataset):
            return None
        names = ("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "persistent_workers")
        options = {name: getattr(loader, name) for name in names}
        if loader.num_workers:
            options |= {"prefetch_factor": loader.prefetch_factor, "worker_init_fn": guarded(loader.worker_init_fn)}
        items_are_batches = loader.batch_sampler is None
        sampler = loader.sampler if items_are_batches else loader.batch_sampler
        return cls(loader.dataset, sampler, items_are_batches, options, Counters(sampler, samplers_of))

    @property
    def num_workers(self) -> int:
        """The number of worker processes; with 0, this process fetches the records."""
        return int(self.options["num_workers"])

    def loader_over(self, dataset: Any, sampler: Any, *, pin_memory: bool) -> Any:
        """Return torch's loader of ``dataset``, with ``sampler``.

        The loader gets no generator: each iterator over a loader draws a seed from it first, which would advance the user's generator.
        """
        options = {**self.options, "generator": None, "pin_memory": pin_memory or self.options["pin_memory"]}
        by = {"sampler": sampler, "batch_size": None} if self.items_are_batches else {"batch_sampler": sampler}
        return torch.utils.data.DataLoader(dataset, **by, **options)


def training_batches(
    source: Source,
    seed: int,
    start: EpochStart,
    batch_idx: int,
    log: EpochLog,
    *,
    pin_memory: bool = False,
    on_host: bool = False,
    device: torch.device = _HOST,
) -> Iterator[Any]:
    """Return an endless iterator over the batches of the training, beginning with ``batch_idx``.

    Args:
        source: The data.
        seed: The trial's seed.
        start: The beginning of the epoch of that batch.
        batch_idx: The first batch to yield, counted from 0 over the whole training.
        log: Records every epoch.
        pin_memory: Whether batches go to page-locked memory, which is copied to a GPU asynchronously.
        on_host: Whether the trial trains on the host, so that arrays become tensors here.
        device: The device that a sampler may draw on, besides the host.

    Raises:
        EmptyDataError: An epoch contains no batch.
    """
    # Nested iterators that run in C, because this code runs between any two batches; a Python generator would slow down every batch.
    indices = itertools.chain.from_iterable(_lists_of_indices(source, seed, start, batch_idx, log, device))
    if not source.num_workers and not pin_memory:
        return map(_loading(source, on_host=on_host), itertools.chain(indices, _raise_empty()))
    if not source.num_workers:
        batches = begin(source.loader_over(source.dataset, _OneShotSampler(indices), pin_memory=True))
    else:
        numbered = _OneShotSampler(NumberedBatch(number, batch) for number, batch in enumerate(indices, batch_idx))
        batches = begin(source.loader_over(SeededDataset(source.dataset, seed), numbered, pin_memory=pin_memory))
    return itertools.chain(map(ready_on_host, batches) if on_host else batches, _raise_empty())


def _raise_empty() -> Iterator[Any]:
    """Raise EmptyDataError at the first ``next``: it follows an iterator that ends only if an epoch is empty."""
    yield from ()
    raise EmptyDataError


def _loading(source: Source, *, on_host: bool) -> Callable[[Any], Any]:
    """Return a function from indices to a batch: the work of torch's loader without workers, minus its overhead for each batch."""
    dataset, collate = source.dataset, source.options["collate_fn"] or (default_convert if source.items_are_batches else default_collate)
    finish: Callable[[Any], Any] = ready_on_host if on_host else _unchanged
    if not source.items_are_batches:
        return lambda indices: finish(collate(fetch(dataset, indices)))
    if collate is not default_convert:
        return lambda index: finish(collate(dataset[index]))

    def load(index: Any) -> Any:
        item = dataset[index]
        if type(item) is tuple or type(item) is list:
            for part in item:
                if type(part) is not torch.Tensor or not part.is_cpu:
                    break
            else:  # fast path: default_convert only makes a list of tensors such as these
                return list(item)
        return finish(default_convert(item))  # type: ignore[no-untyped-call]

    return load


def _unchanged(batch: Any) -> Any:
    return batch


def ready_on_host(batch: Any) -> Any:
    """Do the work of :func:`to_device` for the host, with a fast path for a list or a tuple of tensors that are there already."""
    if type(batch) is list or type(batch) is tuple:
        for part in batch:
            if type(part) is not torch.Tensor or not part.is_cpu:
                break
        else:
            return batch
    return to_device(batch, _HOST)


def plain_batches(
    loader: Any,
    seed: int,
    start: EpochStart,
    batch_idx: int,
    log: EpochLog,
    *,
    counters: Counters | None = None,
    device: torch.device = _HOST,
) -> Iterator[Any]:
    """Yield the batches of any iterable, epoch after epoch, beginning with ``batch_idx``.

    An iterable cannot skip, so the earlier batches of the first epoch are loaded and dropped. Each epoch runs in a separate random stream
    and can therefore be repeated; a loader with workers seeds them from that stream. Generators and counters that the loader or its dataset
    keeps are restored to their states at the beginning of the epoch.

    Args:
        loader: The iterable.
        seed: The trial's seed.
        start: The beginning of the epoch of that batch.
        batch_idx: The first batch to yield, counted from 0 over the whole training.
        log: Records every epoch.
        counters: The loader's counters; by default their present values are taken as the initial ones.
        device: The device that the loader may draw on, besides the host.

    Raises:
        EmptyDataError: An epoch contains no batch.
    """
    counters = counters or Counters(loader, parts_of_loader)
    counters.set(start.counters)
    generators = find_generators(loader)
    set_states(generators, start.generators)
    number = start.first_batch
    for epoch in itertools.count(start.epoch):
        log.begin(EpochStart(epoch, number, states_of(generators), counters.moved()))
        first = number
        batches = iter(loader) if type(loader) in _NEVER_DRAW else _epoch_in_stream(loader, RandomStream.of(device, seed, _LOADER, epoch))
        for batch in batches:
            number += 1
            if number > batch_idx:
                yield batch
        if number == first:
            raise EmptyDataError


def _epoch_in_stream(loader: Any, stream: RandomStream) -> Iterator[Any]:
    """Yield the batches of one epoch. Everything that the loader draws, also while its iterator is closed, comes from ``stream``."""
    if getattr(loader, "persistent_workers", False):
        loader._iterator = None  # persistent workers would continue to draw from their states at the end of the previous epoch
    with stream.active():
        batches = iter(loader)
    try:
        while True:
            with stream.active():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch
    finally:
        if not sys.is_finalizing():
            with stream.active():
                del batches  # a generator may draw while it is closed


_END = object()
_NEVER_DRAW = (list, tuple)  # so the exchange of the random states, about 5 µs each way, is saved


class _OneShotSampler:
    """Makes a sampler of an iterator, for a loader that is iterated over only once."""

    def __init__(self, samples: Iterator[Any]) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[Any]:
        return self._samples


def _lists_of_indices(
    source: Source, seed: int, start: EpochStart, batch_idx: int, log: EpochLog, device: torch.device
) -> Iterator[Sequence[Any]]:
    """Yield the indices of batches in lists of several batches, epoch after epoch, beginning with ``batch_idx``; end at an empty epoch."""
    generators = find_generators(source.sampler, without=source.dataset)
    set_states(generators, start.generators)
    source.counters.set(start.counters)
    number = start.first_batch
    for epoch in itertools.count(start.epoch):
        log.begin(EpochStart(epoch, number, states_of(generators), source.counters.moved()))
        first = number
        for drawn in _epoch_indices(source.sampler, RandomStream.of(device, seed, _SAMPLER, epoch)):
            number += len(drawn)
            if number > batch_idx:
                yield drawn[max(len(drawn) - (number - batch_idx), 0) :]
        if number == first:
            return


def _epoch_indices(sampler: Any, stream: RandomStream) -> Iterator[list[Any]]:
    """Yield the indices of one epoch, drawn from ``stream``, in lists of several batches: exchanging the random states has a price."""
    with stream.active():
        samples = iter(sampler)
        drawn = list(itertools.islice(samples, 1))  # one batch first: its size decides how many follow at once
    at_once = 1
    while drawn:
        yield drawn
        if len(drawn) < at_once:
            return
        if _is_predictable(sampler):
            at_once = min(max(_MAX_INDICES_AHEAD // max(_size(drawn[0]), 1), 1), _MAX_BATCHES_AHEAD)
        with stream.active():
            drawn = list(itertools.islice(samples, at_once))


def _is_predictable(sampler: Any) -> bool:
    """Return whether drawing ahead of the training makes no difference; the user's own sampler may depend on it, as on the loss."""
    return all(type(part) in _PREDICTABLE or type(part).__module__.startswith("detjupyter.pytorch.") for part in samplers_of(sampler))


def _size(indices: Any) -> int:
    try:
        return len(indices)
    except TypeError:
        return 1


def begin(loader: Any) -> Iterator[Any]:
    """Return an iterator over ``loader`` without advancing torch's random state: a loader draws a seed for workers even if it has none."""
    with torch.random.fork_rng(devices=[]):
        return iter(loader)
