"""Samplers of indices and of batches, as both generations of Determined had them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from support.samplers import batches_of
from torch.utils.data import BatchSampler, Sampler, SequentialSampler, TensorDataset

from detjupyter.pytorch import DataLoader, DistributedBatchSampler, RepeatBatchSampler, SkipBatchSampler, adapt_batch_sampler, samplers
from detjupyter.pytorch.data.generators import find_generators
from detjupyter.pytorch.data.stream import EpochLog, EpochStart, Source, training_batches


def indices(count: int) -> Any:
    """Return a sampler of the given number of indices, in order."""
    return SequentialSampler(range(count))


class TestOfIndices:
    """The four kinds, around indices."""

    def test_repeating_never_ends_and_has_the_length_of_a_pass(self) -> None:
        """Repeating never ends, but its length is that of one epoch; an empty sampler ends."""
        sampler = samplers.RepeatSampler(indices(3))
        assert list(islice(sampler, 7)) == [0, 1, 2, 0, 1, 2, 0]
        assert len(sampler) == 3
        assert list(samplers.RepeatSampler(indices(0))) == []

    @pytest.mark.parametrize(("count", "size"), [(10, 3), (9, 3), (2, 4), (1, 1), (0, 2)])
    def test_shards_divide_the_indices(self, count: int, size: int) -> None:
        """Every index is in one of them, and each knows its length."""
        shards = [samplers.DistributedSampler(indices(count), size, rank) for rank in range(size)]
        assert [list(shard) for shard in shards] == [list(range(rank, count, size)) for rank in range(size)]
        assert [len(shard) for shard in shards] == [len(list(shard)) for shard in shards]

    def test_skipping_leaves_out_the_beginning_of_the_first_pass(self) -> None:
        """The length is that of a whole pass; of fewer than are skipped nothing is left."""
        sampler = samplers.SkipSampler(indices(5), 2)
        assert (list(sampler), len(sampler)) == ([2, 3, 4], 5)
        assert list(samplers.SkipSampler(indices(2), 9)) == []

    def test_skip_around_what_repeats_skips_once(self) -> None:
        """A training uses this to continue in the middle of an epoch."""
        assert list(islice(samplers.SkipSampler(samplers.RepeatSampler(indices(3)), 4), 5)) == [1, 2, 0, 1, 2]


class TestOfBatches:
    """Repeat, shard, skip, around batches."""

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
        with pytest.raises(ValueError, match=f"got {rank}"):
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


class TestSignatures:
    """The arguments' names changed over the years; all of them work."""

    def test_a_shard_of_batches_by_either_name(self) -> None:
        """``num_replicas`` of 2020, ``num_workers`` of today; by position in both."""
        of = samplers.DistributedBatchSampler
        expected = [[1], [3]]
        assert list(of(batches_of(4), 2, 1)) == expected
        assert list(of(batch_sampler=batches_of(4), num_workers=2, rank=1)) == expected
        assert list(of(batches_of(4), num_replicas=2, rank=1)) == expected
        assert (of(batches_of(4), 2, 1).num_workers, of(batches_of(4), num_replicas=2, rank=1).num_workers) == (2, 2)

    @pytest.mark.parametrize("given", [{}, {"num_workers": 0, "rank": 0}, {"num_workers": 2}, {"num_workers": 2, "rank": 2}])
    def test_a_shard_that_is_none_is_refused(self, given: dict[str, int]) -> None:
        """A missing number or an invalid rank is refused."""
        for kind, inner in ((samplers.DistributedBatchSampler, batches_of(4)), (samplers.DistributedSampler, indices(4))):
            with pytest.raises(ValueError, match=r"number of processes|rank must be"):
                kind(inner, **given)  # type: ignore[arg-type]

    def test_the_length_of_2020_is_what_is_left(self) -> None:
        """With ``same_length=False``; today's is the default."""
        assert len(samplers.SkipBatchSampler(batches_of(4), 3)) == 4
        assert len(samplers.SkipBatchSampler(batches_of(4), 3, same_length=True)) == 4
        assert len(samplers.SkipBatchSampler(batches_of(4), 3, same_length=False)) == 1
        assert len(samplers.SkipBatchSampler(batches_of(4), 9, same_length=False)) == 0

    def test_a_negative_skip_is_refused(self) -> None:
        """It is refused when the sampler is created, not when it is used."""
        with pytest.raises(ValueError, match="got -1"):
            samplers.SkipSampler(indices(3), -1)

    def test_what_they_draw_from_is_an_attribute(self) -> None:
        """By the name that fits; batch sizes are found through it."""
        inner = batches_of(6, 2)
        for sampler in (
            samplers.RepeatBatchSampler(inner),
            samplers.SkipBatchSampler(inner, 1),
            samplers.DistributedBatchSampler(inner, 2, 0),
        ):
            assert sampler.batch_sampler is inner
        assert samplers.RepeatSampler(inner).sampler is inner

    def test_every_name_is_there_for_import(self) -> None:
        """From ``samplers``."""
        kinds = ("Repeat", "Distributed", "Skip", "ReproducibleShuffle")
        assert set(samplers.__all__) == {f"{kind}{of}" for kind in kinds for of in ("Sampler", "BatchSampler")} | {"adapt_batch_sampler"}


class TestReproducibleShuffle:
    """Shuffled by a separate generator."""

    def test_passes_are_those_of_numpys_generator(self) -> None:
        """One shuffle after the other from a ``RandomState`` of the seed, so old runs can be repeated."""
        sampler = samplers.ReproducibleShuffleSampler(indices(20), seed=5)
        generator = np.random.RandomState(5)
        for _ in range(3):
            expected = list(range(20))
            generator.shuffle(expected)
            assert list(sampler) == expected
        assert len(sampler) == 20

    def test_batches_are_shuffled_whole(self) -> None:
        """Their records stay together."""
        sampler = samplers.ReproducibleShuffleBatchSampler(batches_of(20, 2), seed=5)
        first, second = list(sampler), list(sampler)
        assert sorted(first) == sorted(second) == list(batches_of(20, 2))
        assert first != second
        assert len(sampler) == 10

    def test_nothing_of_the_process_is_drawn(self) -> None:
        """Nor does it matter what others draw."""
        before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["pos"]
        one, other = (samplers.ReproducibleShuffleSampler(indices(9), 1) for _ in range(2))
        drawn = list(one)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.random.get_state(legacy=False)["state"]["pos"] == before[1]
        assert list(other) == drawn

    def test_its_state_is_kept_and_put_back(self) -> None:
        """In a file that holds nothing but numbers and text, too."""
        sampler = samplers.ReproducibleShuffleSampler(indices(9), 1)
        list(sampler)
        state = sampler.state_dict()
        expected = list(sampler)
        fresh = samplers.ReproducibleShuffleSampler(indices(9), 2)
        fresh.load_state_dict(state)
        assert list(fresh) == expected
        assert isinstance(state["generator"][1], list)

    def test_the_generator_is_found_by_a_checkpoint(self) -> None:
        """Also under other samplers: the stream of a training keeps what it finds in attributes."""
        inner = samplers.ReproducibleShuffleBatchSampler(batches_of(8, 2), 3)
        wrapped = samplers.RepeatBatchSampler(samplers.SkipBatchSampler(inner, 1))
        assert list(find_generators(wrapped).values()) == [inner.generator]

    @pytest.mark.parametrize("start", [0, 3, 5, 11, 12])
    def test_a_training_goes_on_in_it_wherever_it_was(self, start: int) -> None:
        """The order of every pass is that of the uninterrupted training."""

        def stream(place: EpochStart, batch_idx: int, log: EpochLog) -> Iterator[list[int]]:
            dataset = TensorDataset(torch.arange(10))
            sampler = samplers.ReproducibleShuffleSampler(indices(10), 7)
            loader = DataLoader(dataset, batch_size=2, sampler=sampler)
            return (batch[0].tolist() for batch in training_batches(Source.of(loader), 1, place, batch_idx, log))  # type: ignore[arg-type]

        log = EpochLog()
        whole = stream(EpochStart(0, 0), 0, log)
        expected = [next(whole) for _ in range(start)]
        place = log.start_of(max(start - 1, 0)) or EpochStart(0, 0)
        expected = [next(whole) for _ in range(14)]
        assert list(islice(stream(place, start, EpochLog()), 14)) == expected


class TestComposition:
    """``adapt_batch_sampler``."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, [[0], [1], [2], [3], [4]]),
            ({"skip": 2}, [[2], [3], [4]]),
            ({"num_replicas": 2, "rank": 1}, [[1], [3]]),
            ({"num_replicas": 2, "rank": 1, "skip": 1}, [[3]]),
            ({"repeat": True}, [[0], [1], [2], [3], [4], [0], [1], [2]]),
            ({"repeat": True, "num_replicas": 2, "rank": 1, "skip": 1}, [[3], [0], [2], [4], [1], [3], [0], [2]]),
        ],
    )
    def test_repeat_then_shard_then_skip(self, given: dict[str, Any], expected: list[list[int]]) -> None:
        """The operations are applied in this order, for all arguments."""
        assert list(islice(samplers.adapt_batch_sampler(batches_of(5), **given), 8)) == expected

    def test_a_sampler_of_the_users_inside_is_not_asked_ahead(self) -> None:
        """One that draws as it goes sees the training's own pace, also under samplers of ours."""
        asked: list[int] = []

        class Lazy(Sampler[int]):
            def __init__(self) -> None:
                pass

            def __iter__(self) -> Iterator[int]:
                for index in range(100):
                    asked.append(index)
                    yield index

            def __len__(self) -> int:
                return 100

        loader = DataLoader(
            TensorDataset(torch.arange(100)), batch_sampler=samplers.SkipBatchSampler(BatchSampler(Lazy(), 2, drop_last=False), 1)
        )
        stream = training_batches(Source.of(loader), 1, EpochStart(0, 0), 0, EpochLog())  # type: ignore[arg-type]
        drawn = [next(stream)[0].tolist() for _ in range(5)]
        assert drawn == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
        assert len(asked) <= 14
