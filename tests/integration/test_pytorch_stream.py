"""The stream of training batches is the same from any batch on, regardless of earlier draws."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, Dataset, IterableDataset, Sampler, WeightedRandomSampler, get_worker_info

from detjupyter.pytorch import DataLoader
from detjupyter.pytorch.data.counters import Counters, parts_of_loader
from detjupyter.pytorch.data.generators import find_generators, seed_generators, set_states, states_of
from detjupyter.pytorch.data.stream import EmptyDataError, EpochLog, EpochStart, Source, plain_batches, training_batches
from detjupyter.pytorch.randomness import RandomStates, RandomStream

START = EpochStart(0, 0)
HOST = torch.device("cpu")


class Augmented(Dataset[Any]):
    """Records that are never the same twice: each of the three usual random states moves them."""

    def __init__(self, length: int = 22) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index), random.random(), float(np.random.rand()), float(torch.rand(()))], dtype=torch.float64)


class Owning(Augmented):
    """Records moved by a generator of the dataset's own."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(3)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([float(index), self.rng.random()], dtype=torch.float64)


class Lazy(Sampler[int]):
    """Draws each index on demand, from all three random states."""

    def __iter__(self) -> Iterator[int]:
        for _ in range(22):
            yield (random.randrange(22) + int(np.random.randint(22)) + int(torch.randint(22, ()))) % 22

    def __len__(self) -> int:
        return 22


class Unsure(IterableDataset[Any]):
    """An endless source without a length, in passes of nine."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = get_worker_info()
        for _ in range(9):
            yield torch.tensor([float(torch.rand(())), random.random(), -1.0 if worker is None else worker.id], dtype=torch.float64)


def stream(loader: Any, start: int = 0, place: EpochStart = START, log: EpochLog | None = None, seed: int = 5) -> Iterator[Any]:
    """Return the batches from ``start`` on."""
    source = Source.of(loader)
    log = EpochLog() if log is None else log
    if source is None:
        return plain_batches(loader, seed, place, start, log)
    return training_batches(source, seed, place, start, log, pin_memory=False)


def take(batches: Iterator[Any], count: int) -> list[Any]:
    """Return the first batches as nested lists."""
    return [batch.tolist() for batch in islice(batches, count)]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    states = RandomStates.now(HOST)
    RandomStates.seeded(1, HOST).install(HOST)
    yield
    states.install(HOST)


LOADERS: dict[str, Callable[[], Any]] = {
    "shuffled, workers": lambda: DataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=2),
    "in order, workers": lambda: DataLoader(Augmented(), batch_size=4, num_workers=2, drop_last=True),
    "a lazy sampler, workers": lambda: DataLoader(Augmented(), batch_size=4, sampler=Lazy(), num_workers=1),
    "its own generator, workers": lambda: DataLoader(Owning(), batch_size=4, shuffle=True, num_workers=2),
    "shuffled": lambda: DataLoader(torch.arange(22), batch_size=4, shuffle=True),
    "a lazy sampler": lambda: DataLoader(torch.arange(22), batch_size=4, sampler=Lazy()),
    "weights": lambda: DataLoader(torch.arange(22), batch_size=4, sampler=WeightedRandomSampler(range(1, 23), 22)),
    "a batch sampler": lambda: DataLoader(torch.arange(22), batch_sampler=BatchSampler(Lazy(), 3, True)),
    "a generator of the user's": lambda: DataLoader(
        torch.arange(22), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(9)
    ),
    "torch's own": lambda: torch.utils.data.DataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=1),
    "torch's own, items are batches": lambda: torch.utils.data.DataLoader(torch.arange(18).reshape(6, 3), batch_size=None, shuffle=True),
    "iterable": lambda: torch.utils.data.DataLoader(Unsure(), batch_size=2),
    "iterable, workers": lambda: torch.utils.data.DataLoader(Unsure(), batch_size=2, num_workers=2),
}


@pytest.mark.parametrize("start", [3, 6, 14])
@pytest.mark.parametrize("name", LOADERS)
def test_a_stream_goes_on_where_another_was(name: str, start: int) -> None:
    """From the place that the first one noted, a new one gives the same batches, in the middle of a pass and at its edges."""
    whole = take(stream(LOADERS[name]()), 20)
    log = EpochLog()
    first = stream(LOADERS[name](), log=log)
    assert take(first, start) == whole[:start]
    place = log.start_of(start)
    assert place is not None
    torch.rand(7), random.random()  # what else the kernel does
    assert take(stream(LOADERS[name](), start, place), 20 - start) == whole[start:]


def test_each_pass_has_an_order_of_its_own() -> None:
    """Every record comes once in a pass; two passes differ, and so do two seeds."""
    loader = DataLoader(torch.arange(22), batch_size=11, shuffle=True)
    one, two, three, four = take(stream(loader), 4)
    assert sorted(one + two) == sorted(three + four) == list(range(22))
    assert one + two != three + four
    assert take(stream(loader, seed=6), 1) != [one]


def test_augmentation_does_not_depend_on_the_workers() -> None:
    """Whichever worker fetches a batch, it draws the same for it; and no two batches draw the same."""
    batches = take(stream(DataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=2)), 12)
    assert take(stream(DataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=1)), 12) == batches
    drawn = [record[1:] for batch in batches for record in batch]
    assert len({tuple(record) for record in drawn}) == len(drawn)


@pytest.mark.parametrize("name", [name for name in LOADERS if "shuffled" in name or "lazy" in name or "iterable" in name])
def test_the_kernels_own_random_states_are_left_alone(name: str) -> None:
    """Neither a sampler nor the start of workers moves them."""
    before = RandomStates.now(HOST).to_checkpoint()
    take(stream(LOADERS[name]()), 9)
    after = RandomStates.now(HOST).to_checkpoint()
    assert torch.equal(before.pop("cpu_rng_state"), after.pop("cpu_rng_state"))
    assert before == after


def test_in_this_process_a_dataset_draws_from_the_kernels_states() -> None:
    """So what a checkpoint of them holds is enough for the next batch to be the same."""
    loader = DataLoader(Augmented(), batch_size=4)
    batches = stream(loader)
    take(batches, 2)
    states = RandomStates.now(HOST)
    third = take(batches, 1)
    states.install(HOST)
    assert take(stream(loader, 2), 1) == third


def test_a_sampler_of_the_users_is_not_asked_ahead() -> None:
    """It may depend on the training: its index for a batch is requested when that batch is due."""

    class Following(Lazy):
        asked = 0

        def __iter__(self) -> Iterator[int]:
            for index in range(22):
                type(self).asked += 1
                yield index

    take(stream(DataLoader(torch.arange(22), batch_size=2, sampler=Following())), 3)
    assert Following.asked == 6


def test_workers_see_the_users_own_dataset() -> None:
    """A worker_init_fn finds it in get_worker_info(), as with torch's loader."""

    def check(_: int) -> None:
        worker = get_worker_info()
        assert worker is not None
        assert isinstance(worker.dataset, Augmented)
        worker.dataset.length = 22

    assert len(take(stream(DataLoader(Augmented(), batch_size=4, num_workers=1, worker_init_fn=check)), 2)) == 2


@pytest.mark.parametrize("make", [lambda: DataLoader(torch.arange(0), batch_size=4), list], ids=["ours", "a list"])
def test_empty_data_is_an_error_and_no_endless_loop(make: Callable[[], Any]) -> None:
    """An epoch without a batch is reported."""
    with pytest.raises(EmptyDataError):
        next(stream(make()))


def test_passes_that_are_long_over_are_forgotten() -> None:
    """A list of one batch makes a pass of every batch; a training of millions of them must not keep a note of each."""
    log = EpochLog()
    assert len(list(islice(stream(["the only batch"], log=log), 40_000))) == 40_000
    assert log.start_of(0) is None
    assert log.start_of(39_999) == EpochStart(39_999, 39_999)


@pytest.mark.parametrize("where", ["loader", "dataset"])
def test_a_loader_that_counts_its_passes_is_put_back(where: str) -> None:
    """This holds for a new object and for one that has advanced; other attributes, such as the count of a queue, do not change."""

    class Counting(IterableDataset[Any]):
        def __init__(self) -> None:
            self.passes = 0
            self.held = Lengthy()

        def __iter__(self) -> Iterator[int]:
            self.passes += 1
            self.held.count += 1
            yield from (100 * self.passes + index for index in range(4))

    class Lengthy:
        def __init__(self) -> None:
            self.count = 0

    def loader_over(counting: Counting) -> Any:
        return counting if where == "loader" else torch.utils.data.DataLoader(counting, batch_size=None)

    log, used = EpochLog(), Counting()
    counters = Counters(loader_over(used), parts_of_loader)
    whole = list(islice(plain_batches(loader_over(used), 5, START, 0, log, counters=counters), 12))
    assert whole == [100 * number + index for number in (1, 2, 3) for index in range(4)]
    log = EpochLog()
    list(islice(plain_batches(loader_over(Counting()), 5, START, 0, log), 7))
    place = log.start_of(6)
    assert place is not None
    for counting in (Counting(), used):
        held = counting.held.count
        own = counters if counting is used else None
        assert list(islice(plain_batches(loader_over(counting), 5, place, 6, EpochLog(), counters=own), 6)) == whole[6:]
        assert counting.held.count == held + 2


def test_generators_are_found_kept_and_seeded() -> None:
    """Generators of all four kinds are found, also inside the value of an attribute; the dataset of a sampler is not searched."""

    class Holder:
        def __init__(self) -> None:
            self.one = torch.Generator().manual_seed(1)
            self.inner = [random.Random(2), {"three": np.random.RandomState(3)}]
            self.four = np.random.default_rng(4)
            self.system = random.SystemRandom()
            self.dataset = Owning()
            self.myself = self

    def draw(holder: Any) -> list[float]:
        first, second = holder.inner
        return [float(torch.rand((), generator=holder.one)), first.random(), second["three"].rand(), holder.four.random()]

    holder = Holder()
    found = find_generators(holder, without=holder.dataset)
    assert sorted(found) == ["four", "inner.0", "inner.1.three", "one"]
    states = states_of(found)
    drawn = draw(holder)
    assert draw(holder) != drawn
    set_states(found, states)
    assert draw(holder) == drawn
    seed_generators(found, 8)
    seeded = draw(holder)
    seed_generators(found, 8)
    assert draw(holder) == seeded != drawn


def test_a_stream_of_its_own_takes_the_place_of_the_kernels() -> None:
    """Inside the block the stream continues, outside the kernel's continues; nesting makes no difference."""
    own = RandomStream(RandomStates.seeded(4, HOST), HOST)
    RandomStates.seeded(4, HOST).install(HOST)
    whole = [(random.random(), float(np.random.rand()), float(torch.rand(()))) for _ in range(4)]
    RandomStates.seeded(8, HOST).install(HOST)
    outside = [random.random() for _ in range(3)]
    RandomStates.seeded(8, HOST).install(HOST)
    found, mine = [], []
    for _ in range(2):
        with own.active(), own.active():
            found.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
        mine.append(random.random())
    with own.active():
        kept = own.capture()
        found.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
        own.replace(kept)
    with own.active():
        again = (random.random(), float(np.random.rand()), float(torch.rand(())))
    assert found == whole[:3]
    assert again == whole[2]
    assert [*mine, random.random()] == outside
