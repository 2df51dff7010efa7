"""``DataLoader``: a description of torch's loader that can repeat, shard and skip; and loaders that end or break."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from support.definition import Definition
from support.line_edits import PLAIN, TRAINING, prepare
from support.samplers import batches_of
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, SequentialSampler, TensorDataset

from detjupyter.errors import TrialError
from detjupyter.pytorch import DataLoader

TEN = TensorDataset(torch.arange(10))


def values(loader: Any, limit: int | None = None) -> list[list[int]]:
    """Return the records of each batch."""
    return [batch[0].tolist() for batch in islice(loader, limit)]


class TestDataLoader:
    """A description of a loader."""

    def test_it_iterates_and_counts_like_torchs(self) -> None:
        """One plain pass."""
        for drop_last in (False, True):
            mine = DataLoader(TEN, batch_size=4, drop_last=drop_last)
            theirs = torch.utils.data.DataLoader(TEN, batch_size=4, drop_last=drop_last)
            assert values(mine) == values(theirs)
            assert len(mine) == len(theirs)

    def test_it_repeats_and_skips(self) -> None:
        """A training that continues in the middle of an epoch needs both."""
        loader = DataLoader(TEN, batch_size=4).get_data_loader(repeat=True, skip=2)
        assert values(loader, 4) == [[8, 9], [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert len(loader) == 3

    def test_it_shuffles_each_pass_anew(self) -> None:
        """Every pass has every record once."""
        loader = DataLoader(TEN, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(0)).get_data_loader(repeat=True)
        drawn = values(loader, 4)
        first, second = drawn[0] + drawn[1], drawn[2] + drawn[3]
        assert sorted(first) == sorted(second) == list(range(10))
        assert first != second

    def test_samplers_and_collation_are_used(self) -> None:
        """One's own sampler, batch sampler and collate_fn."""
        backwards = list(range(9, -1, -1))
        assert values(DataLoader(TEN, batch_size=5, sampler=backwards)) == [[9, 8, 7, 6, 5], [4, 3, 2, 1, 0]]  # type: ignore[arg-type]
        assert values(DataLoader(TEN, batch_sampler=[[1, 3], [5]])) == [[1, 3], [5]]  # type: ignore[arg-type]
        assert list(DataLoader(TEN, batch_size=5, collate_fn=len)) == [5, 5]

    @pytest.mark.parametrize(
        "given",
        [
            {"batch_size": None},
            {"sampler": SequentialSampler(TEN), "shuffle": True},
            {"batch_sampler": batches_of(10), "shuffle": True},
            {"batch_sampler": batches_of(10), "batch_size": 2},
            {"batch_sampler": batches_of(10), "drop_last": True},
            {"batch_sampler": batches_of(10), "sampler": SequentialSampler(TEN)},
        ],
    )
    def test_arguments_that_exclude_each_other_are_refused(self, given: dict[str, Any]) -> None:
        """As torch refuses them."""
        with pytest.raises(ValueError, match=r"batch_s|sampler"):
            DataLoader(TEN, **given)

    def test_an_iterable_dataset_is_refused_with_the_way_out(self) -> None:
        """It cannot skip, so it cannot resume."""

        class Stream(IterableDataset[int]):
            def __iter__(self) -> Iterator[int]:
                return iter(range(3))

        with pytest.raises(ValueError, match="disable_dataset_reproducibility_checks"):
            DataLoader(Stream())

    def test_workers_give_the_same_batches_and_survive_an_interrupt(self) -> None:
        """Jupyter interrupts all of a kernel's processes at once; one's own worker_init_fn is still called."""
        loader = DataLoader(TEN, batch_size=2, num_workers=2, worker_init_fn=_check_worker).get_data_loader(repeat=True)
        batches: Any = iter(loader)
        try:
            assert values(batches, 5) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
            for worker in batches._workers:
                os.kill(worker.pid, signal.SIGINT)
            assert len(values(batches, 20)) == 20
        finally:
            batches._shutdown_workers()


def _check_worker(worker_id: int) -> None:
    assert worker_id in (0, 1)


class TestDescription:
    """Arguments, and the loader that is made of them."""

    def test_its_arguments_are_determineds_in_its_order(self) -> None:
        """The first eleven are those of 2020, the rest today's; what is by name only today is by name only here."""
        given = inspect.signature(DataLoader).parameters.values()
        assert {one.name: one.default for one in given} == {
            "dataset": inspect.Parameter.empty,
            "batch_size": 1,
            "shuffle": False,
            "sampler": None,
            "batch_sampler": None,
            "num_workers": 0,
            "collate_fn": None,
            "pin_memory": False,
            "drop_last": False,
            "timeout": 0,
            "worker_init_fn": None,
            "multiprocessing_context": None,
            "generator": None,
            "prefetch_factor": None,
            "persistent_workers": False,
        }
        positional = [one.name for one in given if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert positional[:2] == ["dataset", "batch_size"]
        assert positional[-2:] == ["multiprocessing_context", "generator"]

    def test_it_is_no_loader_of_torchs_and_makes_one(self) -> None:
        """With torch's own sampler, at random or in order."""
        assert not isinstance(DataLoader(TEN), torch.utils.data.DataLoader)
        assert isinstance(DataLoader(TEN).get_data_loader(), torch.utils.data.DataLoader)
        for shuffle, kind in ((True, RandomSampler), (False, SequentialSampler)):
            batches: Any = DataLoader(TEN, batch_size=3, shuffle=shuffle, drop_last=True).batch_sampler
            assert type(batches) is BatchSampler
            assert type(batches.sampler) is kind
            assert (batches.batch_size, batches.drop_last) == (3, True)

    def test_what_does_not_concern_the_order_is_passed_on(self) -> None:
        """Also arguments that came later, if they are given."""
        own = torch.Generator()
        loader = DataLoader(
            TEN, num_workers=1, collate_fn=len, timeout=7, generator=own, prefetch_factor=5, persistent_workers=True
        ).get_data_loader()
        assert (loader.num_workers, loader.timeout, loader.prefetch_factor, loader.persistent_workers) == (1, 7, 5, True)
        assert (loader.collate_fn, loader.generator) == (len, own)
        plain = DataLoader(TEN).get_data_loader()
        assert (plain.num_workers, plain.prefetch_factor, plain.persistent_workers, plain.pin_memory) == (0, None, False, False)

    def test_a_loader_repeats_then_shards_then_skips(self) -> None:
        """With an odd number of batches the shards swap from pass to pass; the first batches are skipped of the shard."""
        loader = DataLoader(TEN, batch_size=2).get_data_loader(repeat=True, skip=1, num_replicas=2, rank=1)
        assert [batch[0].tolist() for batch in islice(loader, 4)] == [[6, 7], [0, 1], [4, 5], [8, 9]]


class TestDataThatEnds:
    """Each in its own words."""

    @pytest.mark.parametrize("error", ["StopIteration", "EOFError", "ConnectionResetError"])
    def test_an_error_of_the_dataset_in_a_worker_is_the_datasets(self, line: Definition, error: str) -> None:
        """Neither an empty loader nor a worker that was killed."""
        dataset = f"""
class Broken(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index == 9:
            raise {error}("page nine is missing")
        return inputs[index], targets[index]
"""
        session = prepare(line, dataset, (TRAINING, "DataLoader(Broken(), batch_size=4, num_workers=1)")).load()
        with pytest.raises(TrialError, match=error) as raised:
            session.train(batches=5, wait=True)
        assert "page nine is missing" in str(raised.value)
        assert "worker ended" not in str(raised.value)
        assert session.batches_trained == 2

    def test_a_stream_that_loses_its_connection_without_any_worker(self, line: Definition) -> None:
        """No worker is blamed where there is none."""
        stream = """
class Far(IterableDataset):
    def __iter__(self):
        yield inputs[0], targets[0]
        raise ConnectionResetError("far away")
"""
        edits = (TRAINING, "torch.utils.data.DataLoader(Far())"), ("self.context = context", f"self.context = context; {PLAIN}")
        session = prepare(line, stream, *edits).load()
        with pytest.raises(TrialError, match="ConnectionResetError in your code"):
            session.train(batches=5, wait=True)

    def test_a_loader_for_one_epoch_is_distinguished_from_an_empty_one(self, line: Definition) -> None:
        """A generator gave its batches; what it lacks is a second pass."""
        once = "((inputs[:4], targets[:4]) for _ in range(5))"
        session = prepare(line, "", (TRAINING, once), ("self.context = context", f"self.context = context; {PLAIN}")).load()
        with pytest.raises(TrialError, match=r"contained no batch \(after batch 5\)") as raised:
            session.train(batches=9, wait=True)
        assert "not a generator" in str(raised.value.hint)
