"""Data loaders, samplers, and what moves batches to the device."""

from __future__ import annotations

import os
import signal
from collections import UserDict, namedtuple
from collections.abc import Iterator
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, IterableDataset, SequentialSampler, TensorDataset

from detjupyter.pytorch import (
    DataLoader,
    DistributedBatchSampler,
    RepeatBatchSampler,
    SkipBatchSampler,
    adapt_batch_sampler,
    data_length,
    to_device,
)

TEN = TensorDataset(torch.arange(10))


def batches_of(count: int, size: int = 1) -> Any:
    """Return a batch sampler over ``count`` records."""
    return BatchSampler(SequentialSampler(range(count)), size, drop_last=False)


def values(loader: Any, limit: int | None = None) -> list[list[int]]:
    """Return the records of each batch."""
    return [batch[0].tolist() for batch in islice(loader, limit)]


class TestSamplers:
    """Repeat, shard, skip."""

    def test_repeat_begins_anew_for_ever_and_counts_one_pass(self) -> None:
        """An empty sampler ends instead of spinning."""
        sampler = RepeatBatchSampler(batches_of(4, 2))
        assert list(islice(sampler, 5)) == [[0, 1], [2, 3], [0, 1], [2, 3], [0, 1]]
        assert len(sampler) == 2
        assert list(RepeatBatchSampler(batches_of(0))) == []

    @pytest.mark.parametrize(("count", "ranks"), [(10, 3), (9, 3), (2, 4), (1, 1)])
    def test_every_shard_has_its_share_and_together_they_have_all(self, count: int, ranks: int) -> None:
        """The length is right for each rank."""
        shards = [DistributedBatchSampler(batches_of(count), ranks, rank) for rank in range(ranks)]
        for rank, shard in enumerate(shards):
            assert list(shard) == [[index] for index in range(rank, count, ranks)]
            assert len(shard) == len(list(shard))

    @pytest.mark.parametrize("rank", [-1, 3])
    def test_a_rank_that_is_not_there_is_refused(self, rank: int) -> None:
        """The message names it."""
        with pytest.raises(ValueError, match=f"not {rank}"):
            DistributedBatchSampler(batches_of(4), 3, rank)

    def test_skip_leaves_out_the_beginning_of_the_first_pass(self) -> None:
        """The length stays that of a whole pass; skipping more than there is leaves nothing."""
        sampler = SkipBatchSampler(batches_of(4), 3)
        assert list(sampler) == [[3]]
        assert len(sampler) == 4
        assert list(SkipBatchSampler(batches_of(4), 9)) == []

    def test_they_go_together_in_one_order(self) -> None:
        """Repeat, then shard, then skip: the shards of an odd number of batches swap from pass to pass."""
        sampler = adapt_batch_sampler(batches_of(5), repeat=True, skip=1, num_replicas=2, rank=1)
        assert list(islice(sampler, 5)) == [[3], [0], [2], [4], [1]]


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
        """As a training that goes on in the middle of an epoch needs it."""
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


class TestToDevice:
    """Every tensor moves, nothing else changes."""

    def test_containers_are_walked_through(self) -> None:
        """Dicts, lists, tuples and named tuples keep their kind; a device that is already right costs no copy."""
        pair = namedtuple("pair", ["x", "y"])
        tensor = torch.zeros(2)
        moved = to_device({"a": [tensor, (tensor, pair(tensor, tensor))]}, torch.device("meta"))
        assert isinstance(moved["a"][1][1], pair)
        assert {leaf.device.type for leaf in (moved["a"][0], moved["a"][1][0], *moved["a"][1][1])} == {"meta"}
        assert to_device(tensor, torch.device("cpu")) is tensor

    @pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.int64, np.uint8, np.bool_])
    def test_numeric_arrays_become_tensors(self, dtype: Any) -> None:
        """Of the same values."""
        array = np.array([0, 1, 1], dtype=dtype)
        moved = to_device(array, torch.device("cpu"))
        assert isinstance(moved, torch.Tensor)
        assert moved.numpy().dtype == dtype
        np.testing.assert_array_equal(moved.numpy(), array)

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(6.0)[::-1],
            np.arange(6.0).reshape(2, 3).T,
            np.broadcast_to(np.float32(1), (2, 3)),
            np.array([1, 2], dtype=">i4"),
            np.array(2.0),
        ],
    )
    def test_arrays_that_torch_does_not_take_as_they_are(self, array: Any) -> None:
        """Reversed, turned, not to be written to, of foreign byte order, of no dimension."""
        np.testing.assert_array_equal(to_device(array, torch.device("cpu")).numpy(), array)

    def test_a_mapping_of_any_kind_becomes_a_dict(self) -> None:
        """Of moved values."""
        moved = to_device(UserDict(x=torch.zeros(1), y=MappingProxyType({"z": torch.zeros(1)})), torch.device("meta"))
        assert (type(moved), type(moved["y"])) == (dict, dict)
        assert moved["y"]["z"].device.type == "meta"

    def test_what_knows_how_to_move_moves_itself(self) -> None:
        """A packed sequence is no container of ours."""
        packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2), torch.zeros(1)])
        moved = to_device(packed, torch.device("meta"))
        assert moved.data.device.type == "meta"
        assert moved.batch_sizes.device.type == "cpu"

    @pytest.mark.parametrize("value", ["text", b"bytes", None, {1, 2}, np.array(["a", "b"])])
    def test_the_rest_stays_and_is_warned_of_once(self, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once for each type, not once for each batch."""
        monkeypatch.setattr("detjupyter.pytorch.data.batches._unmovable_types", set())
        with pytest.warns(UserWarning, match=type(value).__name__):
            assert to_device([value], torch.device("cpu"))[0] is value
        assert to_device((value,), torch.device("cpu"))[0] is value
        with pytest.warns(UserWarning, match=type(value).__name__):
            to_device({"of": value}, torch.device("cpu"), set())  # a caller's own memory of what it was warned of


class TestDataLength:
    """How many records a batch holds."""

    @pytest.mark.parametrize(
        "batch",
        [
            torch.zeros(3, 2),
            np.zeros((3, 2)),
            [torch.zeros(3), torch.zeros(9)],
            (np.zeros(3),),
            {"x": torch.zeros(3, 5), "y": torch.zeros(1)},
            {"words": ["a", "b", "c"], "y": torch.zeros(1)},
            UserDict(x=torch.zeros(3)),
            ([torch.zeros(9)] * 3, torch.zeros(1)),
        ],
    )
    def test_the_first_tensor_counts(self, batch: Any) -> None:
        """Of a container, its first value."""
        assert data_length(batch) == 3

    @pytest.mark.parametrize("batch", [[], (), {}])
    def test_an_empty_container_has_no_length(self, batch: Any) -> None:
        """It says so."""
        with pytest.raises(ValueError, match="empty"):
            data_length(batch)

    @pytest.mark.parametrize("batch", [5, "text", object(), None, torch.tensor(1.0), np.array(1.0)])
    def test_anything_else_is_refused_by_its_type(self, batch: Any) -> None:
        """And says what to override."""
        with pytest.raises(TypeError, match=rf"{type(batch).__name__}.*get_batch_length"):
            data_length(batch)

    @pytest.mark.parametrize("first", [5, None, torch.tensor(1.0), object()])
    def test_a_container_that_begins_with_no_length_is_refused(self, first: Any) -> None:
        """By both types."""
        for batch in ([first, torch.zeros(3)], {"first": first}):
            with pytest.raises(TypeError, match=rf"{type(batch).__name__} that begins with a {type(first).__name__}.*get_batch_length"):
                data_length(batch)
