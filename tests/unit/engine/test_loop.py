"""The loop: which events come, in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detjupyter.engine import loop
from detjupyter.engine.loop import checkpoint, train, validate
from detjupyter.engine.plan import NEVER, Plan, Schedule
from detjupyter.engine.progress import TrainingProgress
from detjupyter.errors import CheckpointError
from detjupyter.protocol.events import ActivityChanged, Checkpointed, MetricsReported, Validated
from detjupyter.protocol.records import CheckpointRecord

if TYPE_CHECKING:
    from support.bench import Bench, ToyAdapter


@pytest.fixture
def adapter(bench: Bench) -> ToyAdapter:
    """Return the toy trial alone."""
    return bench.adapter


@pytest.fixture
def progress(adapter: ToyAdapter) -> TrainingProgress:
    """Return the toy trial, untrained."""
    return TrainingProgress(adapter, print)


@pytest.fixture
def _report_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 0.0)


@pytest.fixture
def _report_at_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_INTERVAL_S", 1e9)


def saver(progress: TrainingProgress) -> Callable[[], CheckpointRecord]:
    """Return a function that acts as a checkpoint at the current progress."""
    return lambda: CheckpointRecord(f"at-{progress.batches_trained}", "run", progress.batches_trained, 0.0, "/nowhere", 1)


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

    def test_it_reports_validates_and_saves_at_its_end(self, progress: TrainingProgress) -> None:
        """Metrics come before the validation, the validation before the checkpoint."""
        assert names(train(progress, Plan(0, 5), saver(progress))) == [
            "training", "metrics 1-5", "validating", "validated 5", "checkpointing", "at-5", "training",
        ]  # fmt: skip

    def test_periods_count_from_batch_0_of_the_trial(self, progress: TrainingProgress) -> None:
        """A training that begins in the middle of a period ends that period first."""
        list(train(progress, Plan(0, 5), saver(progress)))
        assert names(train(progress, Plan(5, 10, validate_at=Schedule(4)), saver(progress))) == [
            "training", "metrics 6-8", "validating", "validated 8", "training",
            "metrics 9-10", "validating", "validated 10", "checkpointing", "at-10", "training",
        ]  # fmt: skip

    def test_checkpoints_have_a_period_of_their_own(self, progress: TrainingProgress) -> None:
        """A checkpoint that falls on no validation is written without one."""
        assert names(train(progress, Plan(0, 4, checkpoint_at=Schedule(2)), saver(progress))) == [
            "training", "metrics 1-2", "checkpointing", "at-2", "training",
            "metrics 3-4", "validating", "validated 4", "checkpointing", "at-4", "training",
        ]  # fmt: skip

    def test_what_was_done_at_this_batch_is_not_done_again(self, progress: TrainingProgress) -> None:
        """A validation requested at the last batch is also the validation of the end."""
        steps = train(progress, Plan(0, 2), saver(progress))
        while progress.batches_trained < 2:
            next(steps)
        assert names(validate(progress)) == ["validating", "validated 2"]
        assert names(steps) == ["checkpointing", "at-2", "training"]

    def test_an_untrained_trial_may_be_validated_first(self, progress: TrainingProgress) -> None:
        """Only before its first batch: a training that continues does not begin with a validation."""
        assert names(train(progress, Plan(0, 1, initial_validation=True), saver(progress)))[:4] == [
            "training", "validating", "validated 0", "training",
        ]  # fmt: skip
        assert names(train(progress, Plan(1, 2, initial_validation=True), saver(progress)))[:2] == ["training", "metrics 2-2"]

    @pytest.mark.parametrize(("policy", "saved"), [("all", ["at-2", "at-4", "at-5"]), ("best", ["at-2", "at-5"]), ("none", ["at-5"])])
    def test_a_policy_says_which_validations_are_followed_by_a_checkpoint(
        self, policy: Any, saved: list[str], progress: TrainingProgress
    ) -> None:
        """After all, after those that are the best so far, or after none; the end saves one with every policy."""
        plan = Plan(0, 5, validate_at=Schedule(2), checkpoint_policy=policy)
        steps = train(progress, plan, saver(progress), lambda: progress.batches_trained == 2)
        assert [name for name in names(steps) if name.startswith("at-")] == saved

    def test_a_trial_that_asks_to_stop_ends_with_a_checkpoint_and_no_validation(
        self, progress: TrainingProgress, adapter: ToyAdapter
    ) -> None:
        """The current batch is the last one."""
        adapter.on_batch = lambda index: setattr(adapter, "stop_requested", index >= 2)
        assert names(train(progress, Plan(0, 100), saver(progress))) == ["training", "metrics 1-3", "checkpointing", "at-3", "training"]

    def test_reporting_periods_end_as_planned(self, progress: TrainingProgress, adapter: ToyAdapter) -> None:
        """The metrics of a whole reporting period are at its last batch, after those of its batches."""
        adapter.of_periods = lambda batches: {"f1": batches / 10, "words": "none"}
        reports = [
            (event.batches.tolist(), sorted(event.columns))
            for event in train(progress, Plan(0, 5, report_at=Schedule(2)), saver(progress))
            if isinstance(event, MetricsReported)
        ]
        assert reports == [([1, 2], ["loss"]), ([2], ["f1"]), ([3, 4], ["loss"]), ([4], ["f1"]), ([5], ["loss"]), ([5], ["f1"])]

    def test_a_plan_without_boundaries_ends_with_its_metrics(self, progress: TrainingProgress) -> None:
        """A step neither validates nor saves when it is through."""
        assert names(train(progress, Plan(0, 3, ends_with_boundaries=False), saver(progress))) == ["training", "metrics 1-3"]

    def test_it_goes_on_without_a_checkpoint_that_could_not_be_written(self, progress: TrainingProgress) -> None:
        """There is no event of a checkpoint then, and the next boundary tries again."""
        plan = Plan(0, 2, checkpoint_at=Schedule(1))
        assert [name for name in names(train(progress, plan, lambda: None)) if name.startswith("at-")] == []
        assert progress.checkpointed_at is None

    def test_it_can_be_given_up_between_any_two_batches(self, progress: TrainingProgress, adapter: ToyAdapter) -> None:
        """Closing the generator in the middle of a validation ends the validation in order."""
        steps = train(progress, Plan(0, 2), saver(progress))
        while "validate" not in adapter.calls:
            next(steps)
        steps.close()
        assert adapter.calls[-1] == "validation over"

    def test_what_the_trial_raises_passes_through_and_the_batches_before_it_are_kept(
        self, progress: TrainingProgress, adapter: ToyAdapter
    ) -> None:
        """After the failure, a report still contains the batches that were trained."""

        def fail_at_3(index: int) -> None:
            if index == 3:
                raise ValueError("the fourth")

        adapter.on_batch = fail_at_3
        with pytest.raises(ValueError, match="the fourth"):
            list(train(progress, Plan(0, 5), saver(progress)))
        report = progress.report()
        assert report is not None
        assert report.batches.tolist() == [1, 2, 3]
        assert progress.batches_trained == 3

    def test_what_a_batch_does_not_give_differs_from_nan_that_it_gives(self, progress: TrainingProgress, adapter: ToyAdapter) -> None:
        """The first has no point; the first batch with a NaN or an infinity is remembered, by the metric's name."""
        rows: list[dict[str, Any]] = [
            {"loss": 1.0, "norm": None},
            {"loss": 2.0},
            {"loss": math.nan, "norm": 3.0},
            {"loss": 4.0, "norm": -math.inf},
        ]
        adapter.on_batch = lambda index: rows[index]
        (event,) = [event for event in train(progress, Plan(0, 4), saver(progress)) if isinstance(event, MetricsReported)]
        points = {name: (batches.tolist(), values.tolist()) for name, batches, values in event.points()}
        assert {name: batches for name, (batches, _) in points.items()} == {"loss": [1, 2, 3, 4], "norm": [3, 4]}
        assert points["norm"][1] == [3.0, -math.inf]
        assert progress.not_finite == (3, "loss")


@pytest.mark.usefixtures("_report_each_batch")
class TestReports:
    """Metrics between the boundaries."""

    def test_metrics_are_reported_when_the_interval_is_over(self, progress: TrainingProgress) -> None:
        """Without an interval, each batch has its own report; together they contain every batch once."""
        reports = [event for event in train(progress, Plan(0, 4), saver(progress)) if isinstance(event, MetricsReported)]
        assert [report.batches.tolist() for report in reports] == [[1], [2], [3], [4]]
        assert reports[-1].records_trained == 16
        np.testing.assert_array_equal(np.concatenate([report.columns["loss"] for report in reports]), 1 / np.arange(1, 5))

    def test_a_metric_that_a_batch_lacks_is_nan_there(self, progress: TrainingProgress, adapter: ToyAdapter) -> None:
        """The columns of one report are all of one length."""
        adapter.on_batch = lambda index: {"loss": 1.0} if index % 2 else {"loss": 2.0, "extra": 5.0}
        progress.train_until(3, math.inf)
        report = progress.report()
        assert report is not None
        np.testing.assert_array_equal(report.columns["extra"], [5.0, np.nan, 5.0])

    def test_a_validation_tells_how_far_it_is(self, progress: TrainingProgress) -> None:
        """Done and total are in batches of the validation."""
        shown = [(event.done, event.total) for event in validate(progress) if isinstance(event, ActivityChanged)]
        assert shown == [(None, None), (1, 3), (2, 3), (3, 3)]


def test_with_a_request_waiting_every_step_trains_one_batch(progress: TrainingProgress) -> None:
    """Senders are answered between two batches."""
    progress.has_request = lambda: True
    seen = [progress.batches_trained for _ in train(progress, Plan(0, 30, validate_at=Schedule(7)), saver(progress))]
    assert sorted(set(seen)) == list(range(31))


@pytest.mark.usefixtures("_report_at_boundaries")
def test_the_loop_looks_up_where_it_is_to_be_held(progress: TrainingProgress) -> None:
    """It yields at that batch, for any boundaries of the plan, and continues at the next call."""
    progress.pause_at = 5
    steps = train(progress, Plan(0, 30), saver(progress))
    assert next(step for step in steps if progress.batches_trained) is None
    assert progress.batches_trained == 5
    progress.pause_at = NEVER
    assert {progress.batches_trained for _ in steps} == {30}


def test_a_checkpoint_asked_for_that_fails_raises(progress: TrainingProgress) -> None:
    """Its sender gets the reason."""

    def full() -> CheckpointRecord:
        raise CheckpointError("The disk is full.", path=str(Path("/there")))

    with pytest.raises(CheckpointError, match="full"):
        list(checkpoint(progress, full))
