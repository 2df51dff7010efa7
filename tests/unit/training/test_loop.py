"""The loop: which events come, in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detjupyter.errors import CheckpointError
from detjupyter.protocol.events import ActivityChanged, Checkpointed, MetricsReported, Validated
from detjupyter.protocol.records import CheckpointRecord
from detjupyter.training import loop
from detjupyter.training.loop import NEVER, Trainee, checkpoint, train, validate
from detjupyter.training.plan import Plan, Schedule

if TYPE_CHECKING:
    from unit.training.conftest import Bench, ToyAdapter


@pytest.fixture
def adapter(bench: Bench) -> ToyAdapter:
    """Return the toy trial alone."""
    return bench.adapter


@pytest.fixture
def trainee(adapter: ToyAdapter) -> Trainee:
    """Return the toy trial, untrained."""
    return Trainee(adapter)


@pytest.fixture
def _report_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0.0)


@pytest.fixture
def _report_at_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 1e9)


def saver(trainee: Trainee) -> Callable[[], CheckpointRecord]:
    """Return a function that stands for a checkpoint of the trainee."""
    return lambda: CheckpointRecord(f"at-{trainee.batches_trained}", "run", trainee.batches_trained, 0.0, "/nowhere", 1)


def names(events: Iterator[Any]) -> list[str]:
    """Return the events in short form, silence left out."""
    found = []
    for event in events:
        match event:
            case MetricsReported():
                found.append(f"metrics {event.batches[0]}-{event.batches[-1]}")
            case ActivityChanged():
                found.append(event.activity.value)
            case Validated():
                found.append(f"validated {event.batches_trained}")
            case Checkpointed():
                found.append(event.checkpoint.id)
    return found


@pytest.mark.usefixtures("_report_at_boundaries")
class TestTraining:
    """A training in one go."""

    def test_it_reports_validates_and_saves_at_its_end(self, trainee: Trainee) -> None:
        """Metrics come before the validation, the validation before the checkpoint."""
        assert names(train(trainee, Plan(0, 5), saver(trainee))) == [
            "training", "metrics 1-5", "validating", "validated 5", "checkpointing", "at-5", "training",
        ]  # fmt: skip

    def test_periods_count_from_batch_0_of_the_trial(self, trainee: Trainee) -> None:
        """A training that begins in the middle of a period ends that period first."""
        list(train(trainee, Plan(0, 5), saver(trainee)))
        assert names(train(trainee, Plan(5, 10, validate_at=Schedule(4)), saver(trainee))) == [
            "training", "metrics 6-8", "validating", "validated 8", "training",
            "metrics 9-10", "validating", "validated 10", "checkpointing", "at-10", "training",
        ]  # fmt: skip

    def test_checkpoints_have_a_period_of_their_own(self, trainee: Trainee) -> None:
        """A checkpoint that falls on no validation is written without one."""
        assert names(train(trainee, Plan(0, 4, checkpoint_at=Schedule(2)), saver(trainee))) == [
            "training", "metrics 1-2", "checkpointing", "at-2", "training",
            "metrics 3-4", "validating", "validated 4", "checkpointing", "at-4", "training",
        ]  # fmt: skip

    def test_what_was_done_at_this_batch_is_not_done_again(self, trainee: Trainee) -> None:
        """A validation that somebody asked for at the last batch is the one of the end, too."""
        steps = train(trainee, Plan(0, 2), saver(trainee))
        while trainee.batches_trained < 2:
            next(steps)
        assert names(validate(trainee)) == ["validating", "validated 2"]
        assert names(steps) == ["checkpointing", "at-2", "training"]

    def test_an_untrained_trial_may_be_validated_first(self, trainee: Trainee) -> None:
        """Only before its first batch: a training that goes on does not begin with a validation."""
        assert names(train(trainee, Plan(0, 1, initial_validation=True), saver(trainee)))[:4] == [
            "training", "validating", "validated 0", "training",
        ]  # fmt: skip
        assert names(train(trainee, Plan(1, 2, initial_validation=True), saver(trainee)))[:2] == ["training", "metrics 2-2"]

    @pytest.mark.parametrize(("policy", "saved"), [("all", ["at-2", "at-4", "at-5"]), ("best", ["at-2", "at-5"]), ("none", ["at-5"])])
    def test_a_policy_says_which_validations_are_followed_by_a_checkpoint(self, policy: Any, saved: list[str], trainee: Trainee) -> None:
        """All, those that are the best so far, or none; the end saves one whatever the policy."""
        plan = Plan(0, 5, validate_at=Schedule(2), checkpoint_policy=policy)
        steps = train(trainee, plan, saver(trainee), lambda: trainee.batches_trained == 2)
        assert [name for name in names(steps) if name.startswith("at-")] == saved

    def test_a_trial_that_asks_to_stop_ends_with_a_checkpoint_and_no_validation(self, trainee: Trainee, adapter: ToyAdapter) -> None:
        """The batch under way is the last one."""
        adapter.on_batch = lambda index: setattr(adapter, "stop_requested", index >= 2)
        assert names(train(trainee, Plan(0, 100), saver(trainee))) == ["training", "metrics 1-3", "checkpointing", "at-3", "training"]

    def test_stretches_end_where_the_plan_says(self, trainee: Trainee, adapter: ToyAdapter) -> None:
        """The metrics of a whole stretch stand at its last batch, after those of its batches."""
        adapter.of_stretches = lambda batches: {"f1": batches / 10, "words": "none"}
        reports = [
            (event.batches.tolist(), sorted(event.columns))
            for event in train(trainee, Plan(0, 5, report_at=Schedule(2)), saver(trainee))
            if isinstance(event, MetricsReported)
        ]
        assert reports == [([1, 2], ["loss"]), ([2], ["f1"]), ([3, 4], ["loss"]), ([4], ["f1"]), ([5], ["loss"]), ([5], ["f1"])]

    def test_a_plan_without_boundaries_ends_with_its_metrics(self, trainee: Trainee) -> None:
        """A step neither validates nor saves when it is through."""
        assert names(train(trainee, Plan(0, 3, ends_with_boundaries=False), saver(trainee))) == ["training", "metrics 1-3"]

    def test_it_goes_on_without_a_checkpoint_that_could_not_be_written(self, trainee: Trainee) -> None:
        """There is no event of a checkpoint then, and it is tried again at the next boundary."""
        plan = Plan(0, 2, checkpoint_at=Schedule(1))
        assert [name for name in names(train(trainee, plan, lambda: None)) if name.startswith("at-")] == []
        assert trainee.checkpointed_at is None

    def test_it_can_be_given_up_between_any_two_batches(self, trainee: Trainee, adapter: ToyAdapter) -> None:
        """Closing the generator in the middle of a validation ends the validation in order."""
        steps = train(trainee, Plan(0, 2), saver(trainee))
        while "validate" not in adapter.calls:
            next(steps)
        steps.close()
        assert adapter.calls[-1] == "validation over"

    def test_what_the_trial_raises_passes_through_and_the_batches_before_it_are_kept(self, trainee: Trainee, adapter: ToyAdapter) -> None:
        """After the failure, a report still tells of the batches that were trained."""

        def fail_at_3(index: int) -> None:
            if index == 3:
                raise ValueError("the fourth")

        adapter.on_batch = fail_at_3
        with pytest.raises(ValueError, match="the fourth"):
            list(train(trainee, Plan(0, 5), saver(trainee)))
        report = trainee.report()
        assert report is not None
        assert report.batches.tolist() == [1, 2, 3]
        assert trainee.batches_trained == 3


@pytest.mark.usefixtures("_report_each_batch")
class TestReports:
    """Metrics between the boundaries."""

    def test_metrics_are_reported_when_the_interval_is_over(self, trainee: Trainee) -> None:
        """With no interval, each batch is a report of its own; together they tell of every batch once."""
        reports = [event for event in train(trainee, Plan(0, 4), saver(trainee)) if isinstance(event, MetricsReported)]
        assert [report.batches.tolist() for report in reports] == [[1], [2], [3], [4]]
        assert reports[-1].records_trained == 16
        np.testing.assert_array_equal(np.concatenate([report.columns["loss"] for report in reports]), 1 / np.arange(1, 5))

    def test_a_metric_that_a_batch_lacks_is_nan_there(self, trainee: Trainee, adapter: ToyAdapter) -> None:
        """The columns of one report are all of one length."""
        adapter.on_batch = lambda index: {"loss": 1.0} if index % 2 else {"loss": 2.0, "extra": 5.0}
        trainee.train_until(3, math.inf)
        report = trainee.report()
        assert report is not None
        np.testing.assert_array_equal(report.columns["extra"], [5.0, np.nan, 5.0])

    def test_a_validation_tells_how_far_it_is(self, trainee: Trainee) -> None:
        """Done and total are in batches of the validation."""
        progress = [(event.done, event.total) for event in validate(trainee) if isinstance(event, ActivityChanged)]
        assert progress == [(None, None), (1, 3), (2, 3), (3, 3)]


def test_with_a_request_waiting_every_step_trains_one_batch(trainee: Trainee) -> None:
    """Whoever asks is answered between two batches."""
    trainee.is_wanted = lambda: True
    seen = [trainee.batches_trained for _ in train(trainee, Plan(0, 30, validate_at=Schedule(7)), saver(trainee))]
    assert sorted(set(seen)) == list(range(31))


@pytest.mark.usefixtures("_report_at_boundaries")
def test_the_loop_looks_up_where_it_is_to_be_held(trainee: Trainee) -> None:
    """It yields at that batch, wherever the plan's boundaries are, and goes on when it is asked again."""
    trainee.hold_at = 5
    steps = train(trainee, Plan(0, 30), saver(trainee))
    assert next(step for step in steps if trainee.batches_trained) is None
    assert trainee.batches_trained == 5
    trainee.hold_at = NEVER
    assert {trainee.batches_trained for _ in steps} == {30}


def test_a_checkpoint_asked_for_that_fails_raises(trainee: Trainee) -> None:
    """Whoever asked for it hears why."""

    def full() -> CheckpointRecord:
        raise CheckpointError("The disk is full.", path=str(Path("/there")))

    with pytest.raises(CheckpointError, match="full"):
        list(checkpoint(trainee, full))
