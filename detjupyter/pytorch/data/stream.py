"""The batches of a training, the same whether it was interrupted or not.

A training goes over its data pass after pass. What a sampler draws in a pass depends on the trial's seed and the number of the pass alone
(the sampler runs in a random stream of its own), so the stream can begin at any batch: it begins the pass and leaves out what was trained
already, without loading it. What a dataset draws in the kernel's own process it draws from the trial's random states, which a checkpoint
holds; in workers it is seeded for every batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
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
from detjupyter.pytorch.data.data_loader import DataLoader, guarded
from detjupyter.pytorch.data.generators import find_generators, set_states, states_of
from detjupyter.pytorch.data.seeded_dataset import NumberedBatch, SeededDataset, fetch
from detjupyter.pytorch.randomness import RandomStream

_PASS, _PLAIN_PASS = 1, 3  # tell the seeds of one purpose from those of others
_MOST_INDICES_AHEAD = 1 << 16
_MOST_BATCHES_AHEAD = 1024
_MOST_SAMPLERS = 8  # one in another
# Samplers that draw all they will at the beginning of a pass, or do not mind being asked ahead of the training.
_PREDICTABLE = (BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pass over the data begins: its number, its first batch, and the states of the sampler's own generators and counters then."""

    pass_number: int
    first_batch: int
    generators: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)


class PassLog:
    """The places of the passes that were begun, of which workers may be some ahead of the training."""

    def __init__(self) -> None:
        self._places: list[Place] = []

    def begin(self, place: Place) -> None:
        """Take note of a pass."""
        self._places.append(place)

    def place_of(self, batch_idx: int) -> Place | None:
        """Return the place of the pass that the batch belongs to, None if it was not begun here; earlier ones are forgotten."""
        while len(self._places) > 1 and self._places[1].first_batch <= batch_idx:
            del self._places[0]
        return self._places[0] if self._places and self._places[0].first_batch <= batch_idx else None


class EmptyDataError(Exception):
    """A pass over the data held no batch."""


@dataclass(frozen=True, slots=True)
class Source:
    """The parts of a loader over a dataset with indices: ours, or torch's own.

    Attributes:
        dataset: What is indexed.
        sampler: Gives the indices of a batch, or single ones where an item is a whole batch.
        items_are_batches: Which of the two.
        options: The other arguments of torch's loader.
        counters: The whole numbers among the sampler's attributes before its first pass.
    """

    dataset: Any
    sampler: Any
    items_are_batches: bool
    options: Mapping[str, Any]
    counters: Mapping[str, int]

    @classmethod
    def of(cls, loader: Any) -> Source | None:
        """Return the parts, None for a loader that cannot be taken apart: an iterable dataset's, or somebody's own class."""
        if isinstance(loader, DataLoader):
            return cls(loader.dataset, loader.batch_sampler, False, loader.options, counters_of(loader.batch_sampler))
        if type(loader) is not torch.utils.data.DataLoader or isinstance(loader.dataset, IterableDataset):
            return None
        names = ("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "persistent_workers")
        options = {name: getattr(loader, name) for name in names}
        if loader.num_workers:
            options |= {"prefetch_factor": loader.prefetch_factor, "worker_init_fn": guarded(loader.worker_init_fn)}
        items_are_batches = loader.batch_sampler is None
        sampler = loader.sampler if items_are_batches else loader.batch_sampler
        return cls(loader.dataset, sampler, items_are_batches, options, counters_of(sampler))

    @property
    def num_workers(self) -> int:
        """How many processes fetch; 0 for this one."""
        return int(self.options["num_workers"])

    def loader_over(self, dataset: Any, sampler: Any, *, pin_memory: bool) -> Any:
        """Return torch's loader of ``dataset`` by ``sampler``. It takes no generator: it would draw from it whenever it is begun."""
        options = {**self.options, "generator": None, "pin_memory": pin_memory or self.options["pin_memory"]}
        by = {"sampler": sampler, "batch_size": None} if self.items_are_batches else {"batch_sampler": sampler}
        return torch.utils.data.DataLoader(dataset, **by, **options)


def training_batches(
    source: Source, seed: int, place: Place, batch_idx: int, log: PassLog, *, pin_memory: bool = False, on_host: bool = False
) -> Iterator[Any]:
    """Return the batches of the training from ``batch_idx`` on, for ever.

    Args:
        source: The data.
        seed: The trial's.
        place: Where the pass of that batch begins.
        batch_idx: The first batch to yield, counted from 0 over the whole training.
        log: Told of every pass.
        pin_memory: Whether batches go to page-locked memory, from which they are copied to a GPU without waiting.
        on_host: Whether the host is where they are trained on, so that arrays become tensors here.

    Raises:
        EmptyDataError: There is no batch in a pass.
    """
    # Iterators of C, one in another: what stands between two batches is paid for in every one of them.
    indices = itertools.chain.from_iterable(_lists_of_indices(source, seed, place, batch_idx, log))
    if not source.num_workers and not pin_memory:
        return map(_loading(source, on_host=on_host), itertools.chain(indices, _the_end()))
    if not source.num_workers:
        batches = begin(source.loader_over(source.dataset, _Stream(indices), pin_memory=True))
    else:
        numbered = _Stream(NumberedBatch(number, batch) for number, batch in enumerate(indices, batch_idx))
        batches = begin(source.loader_over(SeededDataset(source.dataset, seed), numbered, pin_memory=pin_memory))
    return itertools.chain(map(ready_on_host, batches) if on_host else batches, _the_end())


def _the_end() -> Iterator[Any]:
    """Raise instead of ending."""
    yield from ()
    raise EmptyDataError


def _loading(source: Source, *, on_host: bool) -> Callable[[Any], Any]:
    """Return what makes a batch of its indices: what torch's loader does without workers, without what it spends on each batch."""
    dataset, collate = source.dataset, source.options["collate_fn"] or (default_convert if source.items_are_batches else default_collate)
    finish: Callable[[Any], Any] = ready_on_host if on_host else _as_it_is
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
            else:  # a pair of tensors or the like: all that default_convert does to it
                return list(item)
        return finish(default_convert(item))  # type: ignore[no-untyped-call]

    return load


def _as_it_is(batch: Any) -> Any:
    return batch


def ready_on_host(batch: Any) -> Any:
    """Return what :func:`to_device` would for the host, quickly if all are tensors that are there already."""
    if type(batch) is list or type(batch) is tuple:
        for part in batch:
            if type(part) is not torch.Tensor or not part.is_cpu:
                break
        else:
            return batch
    return to_device(batch, _HOST)


_HOST = torch.device("cpu")


def plain_batches(loader: Any, seed: int, place: Place, batch_idx: int, log: PassLog) -> Iterator[Any]:
    """Yield the batches of any iterable, over and over, from ``batch_idx`` on: what comes before it in its pass is loaded and dropped.

    Each pass runs in a random stream of its own, so that it can be repeated; loaders with workers seed them from it. Generators that the
    loader or its dataset keeps are put where they were when the pass began.

    Raises:
        EmptyDataError: There is no batch in a pass.
    """
    generators = find_generators(loader)
    set_states(generators, place.generators)
    number = place.first_batch
    for pass_number in itertools.count(place.pass_number):
        log.begin(Place(pass_number, number, states_of(generators)))
        if getattr(loader, "persistent_workers", False):
            loader._iterator = None  # workers that stay would go on drawing where the pass before ended
        stream = RandomStream.of(seed, _PLAIN_PASS, pass_number)
        with stream.active():
            batches = iter(loader)
        draws_here = not getattr(loader, "num_workers", 0)
        first = number
        while True:
            with stream.active() if draws_here else nullcontext():
                batch = next(batches, _END)
            if batch is _END:
                break
            number += 1
            if number > batch_idx:
                yield batch
        if number == first:
            raise EmptyDataError


_END = object()


class _Stream:
    """A sampler that is begun once."""

    def __init__(self, samples: Iterator[Any]) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[Any]:
        return self._samples


def _lists_of_indices(source: Source, seed: int, place: Place, batch_idx: int, log: PassLog) -> Iterator[Sequence[Any]]:
    """Yield lists of the indices of batches, pass after pass, from ``batch_idx`` on; end when a pass is empty."""
    generators = find_generators(source.sampler, without=source.dataset)
    set_states(generators, place.generators)
    _set_counters(source, place.counters)
    number = place.first_batch
    for pass_number in itertools.count(place.pass_number):
        moved = {name: value for name, value in counters_of(source.sampler).items() if source.counters.get(name) != value}
        log.begin(Place(pass_number, number, states_of(generators), moved))
        first = number
        for drawn in _pass(source.sampler, seed, pass_number):
            number += len(drawn)
            if number > batch_idx:
                yield drawn[max(len(drawn) - (number - batch_idx), 0) :]
        if number == first:
            return


def _pass(sampler: Any, seed: int, pass_number: int) -> Iterator[list[Any]]:
    """Yield the indices of one pass, drawn in a stream of their own; taking its states in and out costs, so many are drawn at once."""
    stream = RandomStream.of(seed, _PASS, pass_number)
    with stream.active():
        samples = iter(sampler)
        drawn = list(itertools.islice(samples, 1))
    at_once = 1
    while drawn:
        yield drawn
        if len(drawn) < at_once:
            return
        if _is_predictable(sampler):
            at_once = min(max(_MOST_INDICES_AHEAD // max(_size(drawn[0]), 1), 1), _MOST_BATCHES_AHEAD)
        with stream.active():
            drawn = list(itertools.islice(samples, at_once))


def _is_predictable(sampler: Any) -> bool:
    """Return whether nobody can tell that the sampler was asked ahead."""
    return all(type(part) in _PREDICTABLE or type(part).__module__.startswith("detjupyter.pytorch.") for _, part in _parts(sampler))


def _parts(sampler: Any) -> Iterator[tuple[int, Any]]:
    """Yield a sampler and those that it draws from, the outermost first, numbered."""
    for number in range(_MOST_SAMPLERS):
        yield number, sampler
        sampler = getattr(sampler, "batch_sampler", None) or getattr(sampler, "sampler", None)
        if sampler is None:
            return


def counters_of(sampler: Any) -> dict[str, int]:
    """Return the whole numbers among the attributes of a sampler and of those inside it: some count their passes, to shuffle by that."""
    parts = ((number, getattr(part, "__dict__", {})) for number, part in _parts(sampler))
    return {f"{number}.{name}": value for number, attributes in parts for name, value in attributes.items() if type(value) is int}


def _set_counters(source: Source, moved: Mapping[str, int]) -> None:
    """Put a sampler's counters where they were: those in ``moved``, and the others where they began."""
    for number, part in _parts(source.sampler):
        for name, value in list(getattr(part, "__dict__", {}).items()):
            path = f"{number}.{name}"
            then = moved.get(path, source.counters.get(path, value))
            if type(value) is int and value != then:
                setattr(part, name, then)


def _size(indices: Any) -> int:
    try:
        return len(indices)
    except TypeError:
        return 1


def begin(loader: Any) -> Iterator[Any]:
    """Iterate over ``loader`` without moving torch's random state, from which a loader seeds its workers, whether it has any or not."""
    with torch.random.fork_rng(devices=[]):
        return iter(loader)
